//! The `spin` backend: one table in SQLite, opened as Spin opens it, so that both can use the same file.
//!
//! No pragma is set, so a file keeps the journal mode it was made with. One connection serves the process behind a
//! lock; SQLite's busy timeout is the library's 5 s.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, named_params, params};
use tokio::task::block_in_place;

use super::{Cas, Store, StoreResult, SwapError, check_size, describe, size_of_entries, size_of_keys, size_of_value};

const CREATE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";
const GET: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (store, key) DO UPDATE SET value = ?3";
const SWAP: &str = "UPDATE spin_key_value SET value = ?4 WHERE store = ?1 AND key = ?2 AND value = ?3";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";
const LIST: &str = "SELECT key FROM spin_key_value WHERE store = ?1";
const GET_MANY: &str = "SELECT key, value FROM spin_key_value WHERE store = :store AND key IN rarray(:keys)";
const DELETE_MANY: &str = "DELETE FROM spin_key_value WHERE store = :store AND key IN rarray(:keys)";

/// A database, opened when it is first used.
pub struct Sqlite {
    /// `None` is in memory.
    path: Option<PathBuf>,
    connection: Mutex<Option<SharedConnection>>,
}

type SharedConnection = Arc<Mutex<Connection>>;

impl Sqlite {
    /// A database in a file, which is made if it is not there.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self {
            path: Some(path),
            connection: Mutex::default(),
        }
    }

    /// A database that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self {
            path: None,
            connection: Mutex::default(),
        }
    }

    /// Opens the store of a label. Labels do not see each other.
    ///
    /// # Errors
    /// When the database cannot be opened or is no database.
    pub fn open(&self, label: &str) -> StoreResult<Arc<dyn Store>> {
        let mut shared = self.connection.lock().map_err(describe)?;
        let connection = match &*shared {
            Some(connection) => Arc::clone(connection),
            None => {
                let connection = block_in_place(|| self.connect()).map_err(describe)?;
                Arc::clone(shared.insert(Arc::new(Mutex::new(connection))))
            }
        };
        Ok(Arc::new(SqliteStore {
            label: label.to_owned(),
            connection,
        }))
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = match &self.path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.execute(CREATE, [])?;
        rusqlite::vtab::array::load_module(&connection)?;
        Ok(connection)
    }
}

struct SqliteStore {
    label: String,
    connection: SharedConnection,
}

impl SqliteStore {
    /// Runs a piece of SQL on this thread, having told the scheduler that it blocks.
    fn run<T>(&self, sql: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> StoreResult<T> {
        block_in_place(|| sql(&mut lock(&self.connection)).map_err(describe))
    }
}

/// A panic while the lock is held (see [`SqliteStore::increment`]) ends the store for the process, as it does in Spin.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().expect("an earlier operation panicked")
}

/// A list of texts as the array extension wants it.
fn array(keys: Vec<String>) -> Rc<Vec<Value>> {
    Rc::new(keys.into_iter().map(Value::from).collect())
}

#[async_trait]
impl Store for SqliteStore {
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let value: Option<Vec<u8>> = self.run(|connection| {
            let mut statement = connection.prepare_cached(GET)?;
            statement.query_row([&self.label, key], |row| row.get(0)).optional()
        })?;
        check_size(size_of_value(value.as_ref()))?;
        Ok(value)
    }

    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()> {
        self.run(|connection| {
            connection
                .prepare_cached(SET)?
                .execute(params![self.label, key, value])
                .map(drop)
        })
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.run(|connection| connection.prepare_cached(DELETE)?.execute([&self.label, key]).map(drop))
    }

    async fn exists(&self, key: &str) -> StoreResult<bool> {
        Ok(self.get(key).await?.is_some())
    }

    async fn list(&self) -> StoreResult<Vec<String>> {
        let keys: Vec<String> = self.run(|connection| {
            connection
                .prepare_cached(LIST)?
                .query_map([&self.label], |row| row.get(0))?
                .collect()
        })?;
        check_size(size_of_keys(&keys))?;
        Ok(keys)
    }

    async fn get_many(&self, keys: Vec<String>) -> StoreResult<Vec<(String, Option<Vec<u8>>)>> {
        let entries: Vec<(String, Option<Vec<u8>>)> = self.run(|connection| {
            let mut statement = connection.prepare_cached(GET_MANY)?;
            let parameters = named_params! { ":store": self.label, ":keys": array(keys) };
            statement
                .query_map(parameters, |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })?;
        check_size(size_of_entries(&entries))?;
        Ok(entries)
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> StoreResult<()> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            for (key, value) in entries {
                transaction
                    .prepare_cached(SET)?
                    .execute(params![self.label, key, value])?;
            }
            transaction.commit()
        })
    }

    async fn delete_many(&self, keys: Vec<String>) -> StoreResult<()> {
        self.run(|connection| {
            let parameters = named_params! { ":store": self.label, ":keys": array(keys) };
            connection.prepare_cached(DELETE_MANY)?.execute(parameters).map(drop)
        })
    }

    /// A number is 8 bytes, least significant first. A value of another length panics, and a sum too large does too in
    /// a build with overflow checks: both as in Spin.
    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            let value: Option<Vec<u8>> = transaction
                .prepare_cached(GET)?
                .query_row([&self.label, key], |row| row.get(0))
                .optional()?;
            let number = value.map_or(0, |value| {
                i64::from_le_bytes(value.try_into().expect("incorrect length"))
            });
            let sum = number + delta;
            transaction
                .prepare_cached(SET)?
                .execute(params![self.label, key, sum.to_le_bytes()])?;
            transaction.commit()?;
            Ok(sum)
        })
    }

    async fn compare(&self, key: &str) -> StoreResult<Arc<dyn Cas>> {
        let store = Self {
            label: self.label.clone(),
            connection: Arc::clone(&self.connection),
        };
        Ok(Arc::new(SqliteCas {
            store,
            key: key.to_owned(),
            expected: Mutex::default(),
        }))
    }
}

struct SqliteCas {
    store: SqliteStore,
    key: String,
    /// The value last read by `current`; `None` also before that.
    expected: Mutex<Option<Vec<u8>>>,
}

#[async_trait]
impl Cas for SqliteCas {
    async fn current(&self) -> StoreResult<Option<Vec<u8>>> {
        let value = self.store.get(&self.key).await?;
        self.expected.lock().map_err(describe)?.clone_from(&value);
        Ok(value)
    }

    /// Where no value was seen, it writes whatever is there now: Spin does not compare with absence.
    async fn swap(&self, value: Vec<u8>) -> Result<(), SwapError> {
        let expected = self
            .expected
            .lock()
            .map_err(|error| SwapError::Store(describe(error)))?
            .clone();
        let (label, key) = (&self.store.label, &self.key);
        let changed = self.store.run(|connection| match &expected {
            Some(expected) => connection
                .prepare_cached(SWAP)?
                .execute(params![label, key, expected, value]),
            None => connection.prepare_cached(SET)?.execute(params![label, key, value]),
        });
        match changed.map_err(SwapError::Store)? {
            1 => Ok(()),
            _ => Err(SwapError::Changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Arc<dyn Store> {
        Sqlite::in_memory().open("default").expect("a database")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn single_keys() {
        let store = store();
        assert_eq!(store.get("a").await, Ok(None));
        store.set("a", b"1").await.expect("set");
        store.set("a", b"2").await.expect("set again");
        assert_eq!(store.get("a").await, Ok(Some(b"2".to_vec())));
        assert_eq!(store.exists("a").await, Ok(true));
        assert_eq!(store.list().await, Ok(vec!["a".to_owned()]));
        store.delete("a").await.expect("delete");
        store.delete("a").await.expect("delete what is not there");
        assert_eq!(store.exists("a").await, Ok(false));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn batches_leave_missing_keys_out() {
        let store = store();
        let keys = || vec!["b".to_owned(), "a".to_owned(), "missing".to_owned()];
        store
            .set_many(vec![("a".into(), b"1".to_vec()), ("b".into(), b"2".to_vec())])
            .await
            .expect("set");
        let mut entries = store.get_many(keys()).await.expect("get");
        entries.sort();
        assert_eq!(
            entries,
            [
                ("a".to_owned(), Some(b"1".to_vec())),
                ("b".to_owned(), Some(b"2".to_vec()))
            ]
        );
        store.delete_many(keys()).await.expect("delete");
        assert_eq!(store.list().await, Ok(vec![]));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_number_is_eight_bytes_and_another_value_poisons_the_store() {
        let store = store();
        assert_eq!(store.increment("n", 2).await, Ok(2));
        assert_eq!(store.increment("n", -5).await, Ok(-3));
        assert_eq!(store.get("n").await, Ok(Some((-3_i64).to_le_bytes().to_vec())));
        store.set("n", b"3").await.expect("set");
        let poisoned = Arc::clone(&store);
        tokio::spawn(async move { poisoned.increment("n", 1).await })
            .await
            .expect_err("it panics");
        tokio::spawn(async move { store.get("n").await })
            .await
            .expect_err("and so does every later call");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_swap_compares_with_a_value_but_not_with_absence() {
        let store = store();
        let absent = store.compare("k").await.expect("begins");
        assert_eq!(absent.current().await, Ok(None));
        store.set("k", b"other").await.expect("set");
        assert_eq!(absent.swap(b"mine".to_vec()).await, Ok(()));

        let present = store.compare("k").await.expect("begins");
        assert_eq!(present.current().await, Ok(Some(b"mine".to_vec())));
        store.set("k", b"other").await.expect("set");
        assert_eq!(present.swap(b"lost".to_vec()).await, Err(SwapError::Changed));
        assert_eq!(present.current().await, Ok(Some(b"other".to_vec())));
        assert_eq!(present.swap(b"won".to_vec()).await, Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn labels_share_a_file_and_not_their_keys_and_the_journal_mode_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let made = Connection::open(&path).expect("a file");
        made.pragma_update(None, "journal_mode", "WAL").expect("WAL");
        drop(made);
        let database = Sqlite::at(path.clone());
        let one = database.open("one").expect("opens");
        one.set("k", b"1").await.expect("set");
        assert_eq!(database.open("two").expect("opens").get("k").await, Ok(None));

        let reader = Connection::open(&path).expect("the same file");
        let mode: String = reader
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .expect("a mode");
        assert_eq!(mode, "wal");
        let row = "SELECT store || '/' || key FROM spin_key_value";
        assert_eq!(
            reader.query_row(row, [], |row| row.get::<_, String>(0)),
            Ok("one/k".to_owned())
        );
    }
}
