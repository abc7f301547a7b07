//! A store in memory, for this room's tests.
//!
//! It takes single keys alone, as a store does whose batches fail: whoever writes several must set them one by one then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use world::host::{Store, StoreError};

/// A store in memory that takes single keys alone.
#[derive(Default)]
pub(crate) struct Memory(pub(crate) RefCell<BTreeMap<String, Vec<u8>>>);

impl Store for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.0.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.0.borrow_mut().remove(key);
        Ok(())
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.0.borrow().keys().cloned().collect())
    }

    async fn set_many(&self, _: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        Err(StoreError::Failed("no batches here".to_owned()))
    }

    async fn delete_many(&self, _: &[String]) -> Result<(), StoreError> {
        Err(StoreError::Failed("no batches here".to_owned()))
    }
}
