//! The store: `wasi:keyvalue`, the one of Spin's interfaces that has batches.

use crate::SpinHost;
use bindings::wasi::keyvalue::{batch, store};
use world::damage::Damage;
use world::host::{Store, StoreError};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "keyvalue" });
}

pub(crate) use store::Bucket;

fn failed(error: store::Error) -> StoreError {
    StoreError::Failed(match error {
        store::Error::NoSuchStore => "no such store".to_owned(),
        store::Error::AccessDenied => "access denied".to_owned(),
        store::Error::Other(reason) => reason,
    })
}

pub(crate) fn open() -> Result<Bucket, StoreError> {
    store::open("default").map_err(failed)
}

impl Store for SpinHost {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.bucket.get(key).map_err(failed)
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.bucket.set(key, value).map_err(failed)
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.bucket.delete(key).map_err(failed)
    }

    async fn keys(&self) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.bucket.list_keys(cursor.as_deref()).map_err(failed)?;
            keys.extend(page.keys);
            match page.cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(keys),
            }
        }
    }

    async fn set_many(&self, entries: &[(String, Vec<u8>)]) -> Result<(), StoreError> {
        batch::set_many(&self.bucket, entries).map_err(failed)
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        batch::delete_many(&self.bucket, keys).map_err(failed)
    }

    fn damage(&self) -> Option<&Damage> {
        Some(&self.damage)
    }
}
