//! The relay's world on WASI 0.3, as far as ingest asks for it: Spin's key-value store, variables, clocks, the log.

use crate::kept;
use config::{ProviderFailed, Variables};
use queue::key::Record;
use queue::keyspace::Keyspace;
use spin_sdk::experimental::wasi::config::store as variables;
use spin_sdk::experimental::wasi::keyvalue::{batch, store as buckets};
use spin_sdk::key_value;
use spin_sdk::wasip3::clocks::monotonic_clock;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use world::damage::{self, Damage};
use world::host::{Clock, Log, Store, StoreError};

// What the SDK has beside its own interfaces is of WASI 0.2, as Spin has had it since 3.0: for a call the instance stands
// still, which for variables spares the room `config` from waiting, and for batches is all that there is.

/// What one request sees of its host.
pub(crate) struct Host {
    started: Instant,
    store: Rc<key_value::Store>,
    /// The keys of the records of which a reading is kept.
    kept: [String; 3],
    damage: Damage,
    /// What is to be logged at the end.
    lines: RefCell<Vec<u8>>,
}

impl Host {
    /// Opens the default store, unless it is open.
    pub(crate) async fn open(keys: &Keyspace) -> Result<Host, StoreError> {
        let store = match kept::store() {
            Some(store) => store,
            None => {
                let opened = Rc::new(key_value::Store::open_default().await.map_err(failed)?);
                kept::keep_store(Some(opened.clone()));
                opened
            }
        };
        Ok(Host {
            started: Instant::now(),
            store,
            kept: [Record::Status, Record::Counted, Record::State].map(|record| keys.record(record)),
            damage: Damage::default(),
            lines: RefCell::default(),
        })
    }

    /// Writes the log's lines, with what was read from the store and was damaged, each by its key.
    pub(crate) async fn write_log(self) {
        damage::told(&self);
        let lines = self.lines.into_inner();
        if !lines.is_empty() {
            kept::write_out(lines).await;
        }
    }

    fn is_kept(&self, key: &str) -> bool {
        self.kept.iter().any(|kept| kept == key)
    }
}

/// A store that fails is opened anew by the next request.
fn failed(error: key_value::Error) -> StoreError {
    kept::keep_store(None);
    StoreError::Failed(match error {
        key_value::Error::StoreTableFull => "too many stores are open".to_owned(),
        key_value::Error::NoSuchStore => "no such store".to_owned(),
        key_value::Error::AccessDenied => "access denied".to_owned(),
        key_value::Error::Other(reason) => reason,
    })
}

fn batch_failed(error: batch::Error) -> StoreError {
    StoreError::Failed(match error {
        batch::Error::NoSuchStore => "no such store".to_owned(),
        batch::Error::AccessDenied => "access denied".to_owned(),
        batch::Error::Other(reason) => reason,
    })
}

impl Store for Host {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(value) = kept::record(key) {
            return Ok(value);
        }
        let value = self.store.get(key).await.map_err(failed)?;
        if self.is_kept(key) {
            kept::keep_record(key, value.clone());
        }
        Ok(value)
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.store.set(key, value).await.map_err(failed)?;
        if self.is_kept(key) {
            kept::keep_record(key, Some(value.to_vec()));
        }
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key).await.map_err(failed)
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        self.store.get_keys().await.collect().await.map_err(failed)
    }

    /// Spin's own interface has no batches on WASI 0.3.
    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        let bucket = buckets::open("default").map_err(batch_failed)?;
        batch::set_many(&bucket, entries).map_err(batch_failed)
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        let bucket = buckets::open("default").map_err(batch_failed)?;
        batch::delete_many(&bucket, keys).map_err(batch_failed)
    }

    fn damage(&self) -> Option<&Damage> {
        Some(&self.damage)
    }
}

/// A variable of this component, at most a second old. One that the manifest does not give it is not defined; what a
/// provider could not tell is another matter, and is not kept.
fn variable(name: &str) -> Result<Option<String>, ProviderFailed> {
    if let Some(value) = kept::variable(name) {
        return Ok(value);
    }
    let value = variables::get(name).map_err(|_| ProviderFailed)?;
    kept::keep_variable(name, value.clone());
    Ok(value)
}

/// The variables in the form that the room `config` reads.
pub(crate) const VARIABLES: Variables<'static> = Variables(&variable);

/// A log of standard output and a clock, for what must be told before there is a store.
pub(crate) struct Console;

impl Log for Console {
    fn line(&self, line: &str) {
        println!("{line}");
    }
}

impl Clock for Console {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        monotonic_clock::now() / 1_000_000
    }

    async fn sleep_ms(&self, ms: u64) {
        sleep_ms(ms).await;
    }
}

impl Log for Host {
    fn line(&self, line: &str) {
        let mut lines = self.lines.borrow_mut();
        lines.extend_from_slice(line.as_bytes());
        lines.push(b'\n');
    }
}

impl Clock for Host {
    fn now_ms(&self) -> u64 {
        Console.now_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn sleep_ms(&self, ms: u64) {
        sleep_ms(ms).await;
    }
}

/// Waits.
pub(crate) async fn sleep_ms(ms: u64) {
    monotonic_clock::wait_for(ms.saturating_mul(1_000_000)).await;
}
