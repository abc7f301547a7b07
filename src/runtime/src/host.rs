//! What a component can call: its variables and stores. WASI and outgoing HTTP are the libraries'.

mod concurrent;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wasmtime::ResourceLimiter;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::p2::{WasiHttpCtxView, WasiHttpView};
use wasmtime_wasi_http::p3;

use crate::bindings::fermyon::spin::{key_value as spin_store, variables};
use crate::bindings::fermyon::spin_cron::cron_types;
use crate::bindings::wasi::config::store as config;
use crate::bindings::wasi::keyvalue::{atomics, batch, store as wasi_store};
use crate::keyvalue::{Cas, Store, StoreLog, StoreResult, Stores, SwapError};
use crate::logs::ComponentLogs;
use crate::memory::{Memory, MemoryLog};
use crate::outbound::Outbound;
use crate::reused::NoWayOut;
use crate::variables::{ProviderFailed, check_name};

/// What is the same for every call of a component.
pub struct Settings {
    /// The component's id.
    pub id: String,
    /// Its variables, with their values, or why a provider could not tell one.
    pub variables: BTreeMap<String, Result<String, ProviderFailed>>,
    /// The labels it may open.
    pub store_labels: BTreeSet<String>,
    /// All stores of the application.
    pub stores: Arc<Stores>,
    /// Where its store operations are written down.
    pub store_log: Arc<StoreLog>,
    /// Where it is written down how much memory its calls take.
    pub memory_log: Arc<MemoryLog>,
    /// Its environment variables.
    pub environment: Vec<(String, String)>,
    /// Where its output goes.
    pub logs: ComponentLogs,
    /// Its way out.
    pub outbound: Outbound,
}

/// The state of one instance, which lives for one call, or on WASI 0.3 for several.
pub struct State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    no_way_out: NoWayOut,
    table: ResourceTable,
    memory: Memory,
    settings: Arc<Settings>,
}

/// However the call ended.
impl Drop for State {
    fn drop(&mut self) {
        self.settings.memory_log.record(&self.settings.id, &self.memory);
    }
}

/// A store that an instance has open.
pub type OpenStore = Arc<dyn Store>;

/// A compare-and-swap that an instance has begun.
pub struct OpenCas {
    cas: Arc<dyn Cas>,
    store: OpenStore,
    key: String,
}

impl State {
    /// A fresh state.
    #[must_use]
    pub fn new(settings: &Arc<Settings>) -> Self {
        let wasi = WasiCtx::builder()
            .envs(&settings.environment)
            .stdout(settings.logs.stdout.clone())
            .stderr(settings.logs.stderr.clone())
            .build();
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            outbound: settings.outbound.clone(),
            no_way_out: NoWayOut,
            table: ResourceTable::new(),
            memory: Memory::default(),
            settings: Arc::clone(settings),
        }
    }

    /// What is told whenever the instance's memory grows.
    pub fn memory(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.memory
    }

    fn logged<T>(&self, op: &str, keys: &[String], result: StoreResult<T>) -> StoreResult<T> {
        self.settings
            .store_log
            .record(&self.settings.id, op, keys, result.is_ok());
        result
    }

    fn store(&self, store: &Resource<OpenStore>) -> wasmtime::Result<OpenStore> {
        Ok(Arc::clone(self.table.get(store)?))
    }

    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<OpenStore>, OpenError>> {
        if !self.settings.store_labels.contains(&label) {
            return Ok(Err(OpenError::AccessDenied));
        }
        Ok(match self.settings.stores.open(&label).await {
            Ok(Some(store)) => Ok(self.table.push(store)?),
            Ok(None) => Err(OpenError::NoSuchStore),
            Err(error) => Err(OpenError::Other(error)),
        })
    }

    async fn get(
        &mut self,
        store: &Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<StoreResult<Option<Vec<u8>>>> {
        let result = self.store(store)?.get(&key).await;
        Ok(self.logged("get", &[key], result))
    }

    async fn set(
        &mut self,
        store: &Resource<OpenStore>,
        key: String,
        value: &[u8],
    ) -> wasmtime::Result<StoreResult<()>> {
        let result = self.store(store)?.set(&key, value).await;
        Ok(self.logged("set", &[key], result))
    }

    async fn delete(&mut self, store: &Resource<OpenStore>, key: String) -> wasmtime::Result<StoreResult<()>> {
        let result = self.store(store)?.delete(&key).await;
        Ok(self.logged("delete", &[key], result))
    }

    async fn exists(&mut self, store: &Resource<OpenStore>, key: String) -> wasmtime::Result<StoreResult<bool>> {
        let result = self.store(store)?.exists(&key).await;
        Ok(self.logged("exists", &[key], result))
    }

    async fn list(&mut self, store: &Resource<OpenStore>) -> wasmtime::Result<StoreResult<Vec<String>>> {
        let result = self.store(store)?.list().await;
        Ok(self.logged("list", &[], result))
    }

    fn variable(&self, name: &str) -> Result<String, variables::Error> {
        check_name(name).map_err(|error| variables::Error::InvalidName(error.to_string()))?;
        let undefined = || variables::Error::Undefined(format!("no variable for {:?}.{name:?}", self.settings.id));
        let value = self.settings.variables.get(name).ok_or_else(undefined)?;
        value
            .clone()
            .map_err(|failed| variables::Error::Provider(failed.to_string()))
    }
}

enum OpenError {
    NoSuchStore,
    AccessDenied,
    Other(String),
}

impl From<OpenError> for spin_store::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoSuchStore => Self::NoSuchStore,
            OpenError::AccessDenied => Self::AccessDenied,
            OpenError::Other(text) => Self::Other(text),
        }
    }
}

impl From<OpenError> for wasi_store::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoSuchStore => Self::NoSuchStore,
            OpenError::AccessDenied => Self::AccessDenied,
            OpenError::Other(text) => Self::Other(text),
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

impl p3::WasiHttpView for State {
    fn http(&mut self) -> p3::WasiHttpCtxView<'_> {
        p3::WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.no_way_out,
        }
    }
}

impl cron_types::Host for State {}

impl variables::Host for State {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<String, variables::Error>> {
        Ok(self.variable(&name))
    }
}

impl config::Host for State {
    /// A name that is invalid or not there is no error here, other than in Spin's own interface.
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, config::Error>> {
        Ok(match self.variable(&key) {
            Err(variables::Error::Provider(failed)) => Err(config::Error::Upstream(failed)),
            value => Ok(value.ok()),
        })
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, config::Error>> {
        let told = |(name, value): (&String, &Result<String, ProviderFailed>)| match value {
            Ok(value) => Ok((name.clone(), value.clone())),
            Err(failed) => Err(config::Error::Upstream(failed.to_string())),
        };
        Ok(self.settings.variables.iter().map(told).collect())
    }
}

impl spin_store::Host for State {}

impl spin_store::HostStore for State {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<OpenStore>, spin_store::Error>> {
        Ok(Self::open(self, label).await?.map_err(Into::into))
    }

    async fn get(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, spin_store::Error>> {
        Ok(Self::get(self, &store, key).await?.map_err(spin_store::Error::Other))
    }

    async fn set(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), spin_store::Error>> {
        Ok(Self::set(self, &store, key, &value)
            .await?
            .map_err(spin_store::Error::Other))
    }

    async fn delete(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), spin_store::Error>> {
        Ok(Self::delete(self, &store, key).await?.map_err(spin_store::Error::Other))
    }

    async fn exists(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, spin_store::Error>> {
        Ok(Self::exists(self, &store, key).await?.map_err(spin_store::Error::Other))
    }

    async fn get_keys(
        &mut self,
        store: Resource<OpenStore>,
    ) -> wasmtime::Result<Result<Vec<String>, spin_store::Error>> {
        Ok(self.list(&store).await?.map_err(spin_store::Error::Other))
    }

    async fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl wasi_store::Host for State {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<OpenStore>, wasi_store::Error>> {
        Ok(Self::open(self, label).await?.map_err(Into::into))
    }
}

impl wasi_store::HostBucket for State {
    async fn get(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, wasi_store::Error>> {
        Ok(Self::get(self, &store, key).await?.map_err(wasi_store::Error::Other))
    }

    async fn set(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), wasi_store::Error>> {
        Ok(Self::set(self, &store, key, &value)
            .await?
            .map_err(wasi_store::Error::Other))
    }

    async fn delete(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<(), wasi_store::Error>> {
        Ok(Self::delete(self, &store, key).await?.map_err(wasi_store::Error::Other))
    }

    async fn exists(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<bool, wasi_store::Error>> {
        Ok(Self::exists(self, &store, key).await?.map_err(wasi_store::Error::Other))
    }

    async fn list_keys(
        &mut self,
        store: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> wasmtime::Result<Result<wasi_store::KeyResponse, wasi_store::Error>> {
        if cursor.is_some() {
            return Ok(Err(wasi_store::Error::Other(
                "list_keys: cursor not supported".to_owned(),
            )));
        }
        let keys = self.list(&store).await?.map_err(wasi_store::Error::Other);
        Ok(keys.map(|keys| wasi_store::KeyResponse { keys, cursor: None }))
    }

    async fn drop(&mut self, store: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

/// Nothing is asked of the store for an empty batch.
impl batch::Host for State {
    async fn get_many(
        &mut self,
        store: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Option<Vec<u8>>)>, batch::Error>> {
        if keys.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let result = self.store(&store)?.get_many(keys.clone()).await;
        Ok(self.logged("get-many", &keys, result).map_err(batch::Error::Other))
    }

    async fn set_many(
        &mut self,
        store: Resource<OpenStore>,
        entries: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), batch::Error>> {
        if entries.is_empty() {
            return Ok(Ok(()));
        }
        let keys: Vec<String> = entries.iter().map(|(key, _)| key.clone()).collect();
        let result = self.store(&store)?.set_many(entries).await;
        Ok(self.logged("set-many", &keys, result).map_err(batch::Error::Other))
    }

    async fn delete_many(
        &mut self,
        store: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), batch::Error>> {
        if keys.is_empty() {
            return Ok(Ok(()));
        }
        let result = self.store(&store)?.delete_many(keys.clone()).await;
        Ok(self.logged("delete-many", &keys, result).map_err(batch::Error::Other))
    }
}

impl atomics::Host for State {
    async fn increment(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, atomics::Error>> {
        let result = self.store(&store)?.increment(&key, delta).await;
        Ok(self.logged("increment", &[key], result).map_err(atomics::Error::Other))
    }

    /// A swap that failed hands back a new one that has read the value.
    async fn swap(
        &mut self,
        cas: Resource<OpenCas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let OpenCas { cas, store, key } = self.table.delete(cas)?;
        let swapped = cas.swap(value).await;
        self.settings
            .store_log
            .record(&self.settings.id, "swap", std::slice::from_ref(&key), swapped.is_ok());
        let again = match swapped {
            Ok(()) => return Ok(Ok(())),
            Err(SwapError::Changed) => store.compare(&key).await,
            Err(SwapError::Store(error)) => Err(error),
        };
        let read = match again {
            Ok(cas) => cas.current().await.map(|_| cas),
            Err(error) => Err(error),
        };
        Ok(Err(match read {
            Ok(cas) => atomics::CasError::CasFailed(self.table.push(OpenCas { cas, store, key })?),
            Err(error) => atomics::CasError::StoreError(atomics::Error::Other(error)),
        }))
    }
}

impl atomics::HostCas for State {
    async fn new(
        &mut self,
        store: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<OpenCas>, atomics::Error>> {
        let store = self.store(&store)?;
        Ok(match store.compare(&key).await {
            Ok(cas) => Ok(self.table.push(OpenCas { cas, store, key })?),
            Err(error) => Err(atomics::Error::Other(error)),
        })
    }

    async fn current(&mut self, cas: Resource<OpenCas>) -> wasmtime::Result<Result<Option<Vec<u8>>, atomics::Error>> {
        let OpenCas { cas, key, .. } = self.table.get(&cas)?;
        let (cas, key) = (Arc::clone(cas), key.clone());
        let result = cas.current().await;
        Ok(self.logged("get", &[key], result).map_err(atomics::Error::Other))
    }

    async fn drop(&mut self, cas: Resource<OpenCas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}
