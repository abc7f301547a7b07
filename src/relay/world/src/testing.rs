//! What unit tests of several rooms share, in builds with the feature `testing` alone.
//!
//! A test that calls [`reads_back`] may rely on it that nothing of a record is lost when it is read and written again.
//! [`Memory`] takes single keys alone, as a store does whose batches fail: whoever writes several must set them one by one
//! then.

use crate::host::{Store, StoreError, decoded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Whether all that one document says is in the other.
fn is_in(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => part
            .iter()
            .all(|(name, value)| whole.get(name).is_some_and(|whole| is_in(value, whole))),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_in(part, whole))
        }
        (part, whole) => part == whole,
    }
}

/// A record of this type that says all of this, read and written again.
///
/// # Panics
/// If anything of it is lost.
pub fn reads_back<T: Serialize + DeserializeOwned>(kept: Value) {
    let name = std::any::type_name::<T>();
    let read: T = decoded(kept.to_string().as_bytes()).unwrap_or_else(|| panic!("{name} is not read: {kept}"));
    let written = json!(read);
    assert!(is_in(&kept, &written), "{name}: {kept} became {written}");
    assert!(
        decoded::<T>(written.to_string().as_bytes()).is_some(),
        "{name} is not read again: {written}"
    );
}

/// A store in memory that takes single keys alone.
#[derive(Default)]
pub struct Memory(pub RefCell<BTreeMap<String, Vec<u8>>>);

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
