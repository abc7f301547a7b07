//! The key-value store seen from outside, as SQLite keeps it.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on fails"
)]

use rusqlite::Connection;
use std::path::Path;

/// Spin's default store in a state folder.
pub struct Store(Connection);

impl Store {
    /// The store in this state folder.
    pub fn open(state_dir: &Path) -> Store {
        Store(Connection::open(state_dir.join("sqlite_key_value.db")).unwrap())
    }

    /// The keys that begin so, in order.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let mut rows = self
            .0
            .prepare("SELECT key FROM spin_key_value WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key")
            .unwrap();
        let keys = rows.query_map([prefix], |row| row.get(0)).unwrap();
        keys.map(Result::unwrap).collect()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let sql = "SELECT value FROM spin_key_value WHERE key = ?1";
        self.0.query_row(sql, [key], |row| row.get(0)).ok()
    }

    /// Gives a key that is there another value.
    pub fn set(&self, key: &str, value: &[u8]) {
        let sql = "UPDATE spin_key_value SET value = ?2 WHERE key = ?1";
        self.0.execute(sql, rusqlite::params![key, value]).unwrap();
    }

    /// Sets all of these, in one transaction.
    pub fn set_all(&mut self, entries: impl Iterator<Item = (String, Vec<u8>)>) {
        let transaction = self.0.transaction().unwrap();
        for (key, value) in entries {
            transaction
                .execute(
                    "INSERT INTO spin_key_value (store, key, value) VALUES ('default', ?1, ?2)",
                    rusqlite::params![key, value],
                )
                .unwrap();
        }
        transaction.commit().unwrap();
    }

    /// Takes a key away.
    pub fn delete(&self, key: &str) {
        self.0
            .execute("DELETE FROM spin_key_value WHERE key = ?1", [key])
            .unwrap();
    }

    /// Gives a value another key.
    pub fn rename(&self, from: &str, to: &str) {
        self.0
            .execute("UPDATE spin_key_value SET key = ?2 WHERE key = ?1", [from, to])
            .unwrap();
    }
}
