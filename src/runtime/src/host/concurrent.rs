//! What a component can call without its instance standing still meanwhile: Spin's interfaces on WASI 0.3.

use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use super::{OpenStore, State};
use crate::bindings::spin::key_value::key_value as store;
use crate::bindings::spin::variables::variables;
use crate::keyvalue::StoreResult;

type Answer<T> = wasmtime::Result<Result<T, store::Error>>;

impl store::Host for State {}

impl store::HostStore for State {
    async fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

/// The store that a handle stands for.
fn opened<T>(accessor: &Accessor<T, HasSelf<State>>, store: &Resource<OpenStore>) -> wasmtime::Result<OpenStore> {
    accessor.with(|mut access| access.get().store(store))
}

/// What came of an operation, once it is written down.
fn told<T, R>(accessor: &Accessor<T, HasSelf<State>>, op: &str, key: &[String], result: StoreResult<R>) -> Answer<R> {
    let result = accessor.with(|mut access| access.get().logged(op, key, result));
    Ok(result.map_err(store::Error::Other))
}

impl store::HostStoreWithStore for HasSelf<State> {
    async fn open<T>(accessor: &Accessor<T, Self>, label: String) -> Answer<Resource<OpenStore>> {
        let settings = accessor.with(|mut access| access.get().settings.clone());
        if !settings.store_labels.contains(&label) {
            return Ok(Err(store::Error::AccessDenied));
        }
        Ok(match settings.stores.open(&label).await {
            Ok(Some(opened)) => Ok(accessor.with(|mut access| access.get().table.push(opened))?),
            Ok(None) => Err(store::Error::NoSuchStore),
            Err(error) => Err(store::Error::Other(error)),
        })
    }

    async fn get<T>(accessor: &Accessor<T, Self>, store: Resource<OpenStore>, key: String) -> Answer<Option<Vec<u8>>> {
        let result = opened(accessor, &store)?.get(&key).await;
        told(accessor, "get", &[key], result)
    }

    async fn set<T>(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Answer<()> {
        let result = opened(accessor, &store)?.set(&key, &value).await;
        told(accessor, "set", &[key], result)
    }

    async fn delete<T>(accessor: &Accessor<T, Self>, store: Resource<OpenStore>, key: String) -> Answer<()> {
        let result = opened(accessor, &store)?.delete(&key).await;
        told(accessor, "delete", &[key], result)
    }

    async fn exists<T>(accessor: &Accessor<T, Self>, store: Resource<OpenStore>, key: String) -> Answer<bool> {
        let result = opened(accessor, &store)?.exists(&key).await;
        told(accessor, "exists", &[key], result)
    }

    async fn get_keys<T>(
        accessor: &Accessor<T, Self>,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), store::Error>>)> {
        let result = opened(accessor, &store)?.list().await;
        let (keys, end) = match told(accessor, "list", &[], result)? {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(end) })?;
            Ok((keys, end))
        })
    }
}

impl variables::Host for State {}

impl variables::HostWithStore for HasSelf<State> {
    async fn get<T>(accessor: &Accessor<T, Self>, name: String) -> wasmtime::Result<Result<String, variables::Error>> {
        use crate::bindings::fermyon::spin::variables::Error;
        let value = accessor.with(|mut access| access.get().variable(&name));
        Ok(value.map_err(|error| match error {
            Error::InvalidName(text) => variables::Error::InvalidName(text),
            Error::Undefined(text) => variables::Error::Undefined(text),
            Error::Provider(text) => variables::Error::Provider(text),
            Error::Other(text) => variables::Error::Other(text),
        }))
    }
}
