//! Key-value stores: what Spin's backends do, with the quirks a component has to live with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;

use crate::logs::Lines;

mod redis;
mod sqlite;

pub use self::redis::Redis;
pub use self::sqlite::Sqlite;

/// The most a read may return, in bytes, as in Spin.
pub const MAX_RESULT_BYTES: usize = 128 << 20;

/// The file below the state folder in which Spin keeps its default store.
const DEFAULT_DATABASE: &str = "sqlite_key_value.db";

/// Why an operation failed: a text for people, as Spin passes it to the component.
pub type StoreResult<T> = std::result::Result<T, String>;

/// One open store.
#[async_trait]
pub trait Store: Send + Sync {
    /// The value of a key.
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>>;
    /// Writes a key.
    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()>;
    /// Removes a key; it is no error if there is none.
    async fn delete(&self, key: &str) -> StoreResult<()>;
    /// Whether there is such a key.
    async fn exists(&self, key: &str) -> StoreResult<bool>;
    /// All keys, in no particular order.
    async fn list(&self) -> StoreResult<Vec<String>>;
    /// The values of several keys.
    async fn get_many(&self, keys: Vec<String>) -> StoreResult<Vec<(String, Option<Vec<u8>>)>>;
    /// Writes several keys.
    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> StoreResult<()>;
    /// Removes several keys.
    async fn delete_many(&self, keys: Vec<String>) -> StoreResult<()>;
    /// Adds to a number; a key that does not exist counts as 0.
    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64>;
    /// Begins a compare-and-swap of a key.
    async fn compare(&self, key: &str) -> StoreResult<Arc<dyn Cas>>;
}

/// A compare-and-swap that has begun.
#[async_trait]
pub trait Cas: Send + Sync {
    /// The value now, which [`Cas::swap`] then expects.
    async fn current(&self) -> StoreResult<Option<Vec<u8>>>;
    /// Writes if the value is still the one expected.
    async fn swap(&self, value: Vec<u8>) -> std::result::Result<(), SwapError>;
}

/// Why a swap was not reported as done.
#[derive(Debug, PartialEq, Eq)]
pub enum SwapError {
    /// The value had changed, or the backend says so.
    Changed,
    /// The store failed.
    Store(String),
}

/// The stores of a run, by label.
pub struct Stores {
    backends: BTreeMap<String, Backend>,
}

#[derive(Clone)]
enum Backend {
    Sqlite(Arc<Sqlite>),
    Redis(Arc<Redis>),
}

/// A runtime configuration file, as far as it is about key-value stores.
#[derive(Debug, Default, Deserialize)]
pub struct RuntimeConfig {
    #[serde(default, rename = "key_value_store")]
    stores: BTreeMap<String, StoreConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum StoreConfig {
    /// SQLite: at `path`, taken from the state folder if relative, or in memory.
    Spin {
        path: Option<PathBuf>,
    },
    Redis {
        url: String,
    },
}

impl RuntimeConfig {
    /// Reads a runtime configuration file.
    ///
    /// # Errors
    /// When it cannot be read, or names a store of another type than `spin` and `redis`.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the runtime configuration {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in the runtime configuration {}", path.display()))
    }
}

impl Stores {
    /// Makes the configured stores, and `default` in the state folder if it is not among them. Nothing is opened yet.
    ///
    /// # Errors
    /// When an address is not one of Redis, or a folder cannot be made.
    pub fn new(config: RuntimeConfig, state_dir: &Path) -> Result<Self> {
        let mut backends = BTreeMap::new();
        for (label, config) in config.stores {
            let backend = Backend::new(config, state_dir).with_context(|| format!("the key-value store {label:?}"))?;
            backends.insert(label, backend);
        }
        if !backends.contains_key("default") {
            let config = StoreConfig::Spin {
                path: Some(DEFAULT_DATABASE.into()),
            };
            backends.insert("default".to_owned(), Backend::new(config, state_dir)?);
        }
        Ok(Self { backends })
    }

    /// The labels there are.
    #[must_use]
    pub fn labels(&self) -> BTreeSet<&str> {
        self.backends.keys().map(String::as_str).collect()
    }

    /// Opens a store; `None` if there is none of this label.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub async fn open(&self, label: &str) -> StoreResult<Option<Arc<dyn Store>>> {
        Ok(match self.backends.get(label) {
            Some(Backend::Sqlite(database)) => Some(database.open(label)?),
            Some(Backend::Redis(database)) => Some(database.open().await?),
            None => None,
        })
    }
}

impl Backend {
    fn new(config: StoreConfig, state_dir: &Path) -> Result<Self> {
        Ok(match config {
            StoreConfig::Spin { path: Some(path) } => {
                let path = state_dir.join(path);
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
                }
                Self::Sqlite(Arc::new(Sqlite::at(path)))
            }
            StoreConfig::Spin { path: None } => Self::Sqlite(Arc::new(Sqlite::in_memory())),
            StoreConfig::Redis { url } => Self::Redis(Arc::new(Redis::new(&url)?)),
        })
    }
}

/// Where every operation on a store is written down, for tests that count them.
#[derive(Debug, Default)]
pub struct StoreLog(Lines);

impl StoreLog {
    /// Appends to a file, or keeps no log.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(path: Option<&Path>) -> Result<Self> {
        Ok(Self(Lines::new(path)?))
    }

    /// Writes one operation as a line of JSON.
    pub fn record(&self, component: &str, op: &str, keys: &[String], ok: bool) {
        self.0
            .write(|| json!({ "component": component, "op": op, "keys": keys, "ok": ok }));
    }
}

/// Refuses a result of more than [`MAX_RESULT_BYTES`].
fn check_size(bytes: usize) -> StoreResult<()> {
    if bytes > MAX_RESULT_BYTES {
        return Err(format!("query result exceeds limit of {MAX_RESULT_BYTES} bytes"));
    }
    Ok(())
}

/// The size Spin counts for one value.
fn size_of_value(value: Option<&Vec<u8>>) -> usize {
    size_of::<Option<Vec<u8>>>() + value.map_or(0, Vec::len)
}

/// The size Spin counts for a list of keys.
fn size_of_keys(keys: &[String]) -> usize {
    size_of::<Vec<String>>() + keys.iter().map(|key| size_of::<String>() + key.len()).sum::<usize>()
}

/// The size Spin counts for keys with values.
fn size_of_entries(entries: &[(String, Option<Vec<u8>>)]) -> usize {
    let size = |(key, value): &(String, Option<Vec<u8>>)| {
        size_of::<(String, Option<Vec<u8>>)>() + key.len() + value.as_ref().map_or(0, Vec::len)
    };
    size_of::<Vec<String>>() + entries.iter().map(size).sum::<usize>()
}

/// The text Spin gives a component for an error of its backend.
fn describe(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_store_is_there_unless_configured() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::new(RuntimeConfig::default(), folder.path()).expect("a default store");
        assert!(matches!(&stores.backends["default"], Backend::Sqlite(_)));
        let config = "[key_value_store.default]\ntype = 'redis'\nurl = 'redis://127.0.0.1:1'\n\
                      [key_value_store.other]\ntype = 'spin'";
        let stores = Stores::new(toml::from_str(config).expect("a configuration"), folder.path()).expect("stores");
        assert!(matches!(&stores.backends["default"], Backend::Redis(_)));
        assert_eq!(stores.labels(), BTreeSet::from(["default", "other"]));
        let config = toml::from_str::<RuntimeConfig>("[key_value_store.default]\ntype = 'azure'");
        config.expect_err("an unknown type");
    }

    #[test]
    fn the_store_log_is_one_line_of_json_an_operation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = StoreLog::new(Some(&path)).expect("a log");
        log.record("ingest", "set", &["a\"b".to_owned()], true);
        log.record("ingest", "list", &[], false);
        let text = std::fs::read_to_string(path).expect("the log");
        let lines: Vec<serde_json::Value> = text.lines().map(|line| line.parse().expect("JSON")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["keys"][0], "a\"b");
        assert_eq!(lines[1]["ok"], false);
    }
}
