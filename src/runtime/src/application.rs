//! An application ready to run: its components compiled, its stores and variables at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use wasmtime::component::{Component as Wasm, HasSelf, InstancePre, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, Store};
use wasmtime_wasi_http::handler::{ProxyHandler, ProxyPre as Reusable};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::bindings::ApplicationPre as ScheduledPre;
use crate::cron::Schedule;
use crate::host::{Settings, State};
use crate::hosts::AllowedHosts;
use crate::keyvalue::{RuntimeConfig, StoreLog, Stores};
use crate::logs::ComponentLogs;
use crate::manifest::{self, Manifest};
use crate::memory::MemoryLog;
use crate::outbound::{HttpClient, Outbound};
use crate::reused::Instances;
use crate::router::Router;
use crate::variables::Variables;

/// How long WebAssembly may keep a thread before others get their turn, as in Spin.
const TURN: Duration = Duration::from_millis(10);

/// What to run, and how.
#[derive(Debug, Default)]
pub struct Options {
    /// The manifest's path.
    pub manifest: PathBuf,
    /// The folder for the default store and the logs; `.spin` in Spin.
    pub state_dir: PathBuf,
    /// Values of application variables.
    pub variables: Vec<(String, String)>,
    /// A runtime configuration file.
    pub runtime_config: Option<PathBuf>,
    /// The file to which every store operation is appended.
    pub store_log: Option<PathBuf>,
    /// The file to which is appended how much memory each call of a component takes.
    pub memory_log: Option<PathBuf>,
}

/// An application ready to run.
pub struct Application {
    /// Its name.
    pub name: String,
    /// Its HTTP triggers.
    pub router: Router,
    /// Its cron triggers.
    pub schedules: Vec<Schedule>,
    components: BTreeMap<String, Arc<Component>>,
}

/// A compiled component. Every call gets an instance of its own, but for those of HTTP on WASI 0.3.
pub struct Component {
    settings: Arc<Settings>,
    engine: Engine,
    /// Set where a route leads to it.
    pub(crate) http: Option<Handler>,
    /// Set where a schedule calls it.
    pub(crate) scheduled: Option<ScheduledPre<State>>,
}

/// How a component takes requests.
pub(crate) enum Handler {
    /// By WASI 0.2, each in an instance of its own.
    Fresh(ProxyPre<State>),
    /// By WASI 0.3, in instances that take several.
    Reused(ProxyHandler<Instances>),
}

impl Application {
    /// Reads, checks and compiles everything.
    ///
    /// # Errors
    /// With what is wrong in the manifest, the variables, the runtime configuration or a component.
    pub fn load(options: &Options) -> Result<Self> {
        let manifest = Manifest::load(&options.manifest)?;
        let environment = |name: &str| std::env::var(name);
        let variables = Variables::resolve(&manifest.variables, &options.variables, environment)?;
        let config = options.runtime_config.as_deref().map(RuntimeConfig::load).transpose()?;
        let shared = Shared {
            defaults: Variables::defaults(&manifest.variables),
            variables,
            stores: Arc::new(Stores::new(config.unwrap_or_default(), &options.state_dir)?),
            store_log: Arc::new(StoreLog::new(options.store_log.as_deref())?),
            memory_log: Arc::new(MemoryLog::new(options.memory_log.as_deref())?),
            client: HttpClient::new(),
            log_folder: options.state_dir.join("logs"),
        };
        let folder = options.manifest.parent().unwrap_or(Path::new(""));
        let components = Compiler::new(&manifest, folder, &options.state_dir)?.compile_all(&shared)?;
        let schedules = manifest.trigger.cron.iter().map(Schedule::new);
        Ok(Self {
            router: Router::new(&manifest.trigger.http)?,
            schedules: schedules.collect::<Result<_>>()?,
            name: manifest.application.name,
            components,
        })
    }

    /// A component that a trigger names.
    #[must_use]
    pub fn component(&self, id: &str) -> Option<&Arc<Component>> {
        self.components.get(id)
    }
}

impl Component {
    /// The component's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// What one instance runs in.
    pub(crate) fn instance_store(&self) -> Store<State> {
        instance_store(&self.engine, &self.settings)
    }
}

/// What one instance runs in.
pub(crate) fn instance_store(engine: &Engine, settings: &Arc<Settings>) -> Store<State> {
    let mut store = Store::new(engine, State::new(settings));
    store.limiter(State::memory);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    store
}

/// What the components share.
struct Shared {
    variables: Variables,
    defaults: Variables,
    stores: Arc<Stores>,
    store_log: Arc<StoreLog>,
    memory_log: Arc<MemoryLog>,
    client: HttpClient,
    log_folder: PathBuf,
}

impl Shared {
    fn settings(&self, id: &str, component: &manifest::Component) -> Result<Settings> {
        AllowedHosts::validate(&component.allowed_outbound_hosts, &self.defaults).context("allowed_outbound_hosts")?;
        let known = self.stores.labels();
        if let Some(label) = component
            .key_value_stores
            .iter()
            .find(|label| !known.contains(label.as_str()))
        {
            bail!(
                "unknown key-value store {label:?}; define [key_value_store.{label}] in a runtime configuration file"
            );
        }
        let allowed = AllowedHosts::parse(&component.allowed_outbound_hosts, &self.variables);
        Ok(Settings {
            id: id.to_owned(),
            variables: self.variables.render_all(&component.variables)?,
            store_labels: component.key_value_stores.iter().cloned().collect(),
            stores: Arc::clone(&self.stores),
            store_log: Arc::clone(&self.store_log),
            memory_log: Arc::clone(&self.memory_log),
            environment: component.environment.clone().into_iter().collect(),
            logs: ComponentLogs::open(&self.log_folder, id)?,
            outbound: Outbound::new(self.client.clone(), id, allowed),
        })
    }
}

struct Compiler<'a> {
    manifest: &'a Manifest,
    /// The manifest's folder.
    folder: &'a Path,
    engine: Engine,
    linker: Linker<State>,
}

impl<'a> Compiler<'a> {
    fn new(manifest: &'a Manifest, folder: &'a Path, state_dir: &Path) -> Result<Self> {
        let sources = manifest
            .component
            .values()
            .map(|component| folder.join(&component.source));
        let engine = engine(&cache_folder(sources, state_dir))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
        crate::bindings::Application::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self {
            manifest,
            folder,
            engine,
            linker,
        })
    }

    fn compile_all(&self, shared: &Shared) -> Result<BTreeMap<String, Arc<Component>>> {
        let triggers = &self.manifest.trigger;
        let mut components = BTreeMap::new();
        for (id, component) in &self.manifest.component {
            let routed = triggers.http.iter().any(|trigger| trigger.component == *id);
            let scheduled = triggers.cron.iter().any(|trigger| trigger.component == *id);
            if routed || scheduled {
                let compiled = self.compile(id, component, shared, routed, scheduled);
                let compiled = compiled.with_context(|| format!("the component {id:?}"))?;
                components.insert(id.clone(), Arc::new(compiled));
            }
        }
        Ok(components)
    }

    fn compile(
        &self,
        id: &str,
        component: &manifest::Component,
        shared: &Shared,
        routed: bool,
        scheduled: bool,
    ) -> Result<Component> {
        let settings = Arc::new(shared.settings(id, component)?);
        let source = self.folder.join(&component.source);
        ensure!(
            source.is_file(),
            "there is no {}; build the components first",
            source.display()
        );
        let wasm = Wasm::from_file(&self.engine, &source)?;
        let pre: InstancePre<State> = self.linker.instantiate_pre(&wasm)?;
        let http = routed.then(|| self.handler(&settings, pre.clone())).transpose();
        let http = http.context("it is under trigger.http but has no HTTP handler")?;
        let scheduled = scheduled.then(|| ScheduledPre::new(pre)).transpose();
        let scheduled = scheduled.map_err(anyhow::Error::from);
        let scheduled = scheduled.context("it is under trigger.cron but has no cron handler")?;
        Ok(Component {
            settings,
            engine: self.engine.clone(),
            http,
            scheduled,
        })
    }
}

impl Compiler<'_> {
    fn handler(&self, settings: &Arc<Settings>, pre: InstancePre<State>) -> Result<Handler> {
        match ServicePre::new(pre.clone()) {
            Ok(service) => {
                let instances = Instances::new(&self.engine, settings);
                Ok(Handler::Reused(ProxyHandler::new(instances, Reusable::P3(service))))
            }
            Err(_) => Ok(Handler::Fresh(ProxyPre::new(pre)?)),
        }
    }
}

fn engine(cache: &Path) -> Result<Engine> {
    let mut caching = CacheConfig::new();
    caching.with_directory(cache);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .cache(Some(Cache::new(caching)?));
    let engine = Engine::new(&config)?;
    let ticking = engine.weak();
    std::thread::Builder::new().name("epochs".to_owned()).spawn(move || {
        while let Some(engine) = ticking.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TURN);
        }
    })?;
    Ok(engine)
}

/// Compiled components are kept beside their sources, so that every run finds them whatever its state folder; in the
/// state folder where the former cannot be written to.
fn cache_folder(mut sources: impl Iterator<Item = PathBuf>, state_dir: &Path) -> PathBuf {
    let beside = sources.find_map(|source| {
        let folder = source.is_file().then(|| source.with_file_name(".compiled"))?;
        std::fs::create_dir_all(&folder).is_ok().then_some(folder)
    });
    let folder = beside.unwrap_or_else(|| state_dir.join("compiled"));
    // The library wants an absolute path.
    std::path::absolute(&folder).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "example"
        [variables]
        url = { default = "https://unset.invalid" }
        [[trigger.http]]
        route = "/..."
        component = "worker"
        [component.worker]
        source = "worker.wasm"
        allowed_outbound_hosts = ["{{ url }}"]
        key_value_stores = ["default"]
        [component.worker.variables]
        url = "{{ url }}"
    "#;

    /// What loading the manifest says, with one text in it replaced by another.
    fn error(from: &str, to: &str, wasm: Option<&[u8]>) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = folder.path().join("spin.toml");
        std::fs::write(&manifest, MANIFEST.replace(from, to)).expect("a manifest");
        if let Some(wasm) = wasm {
            std::fs::write(folder.path().join("worker.wasm"), wasm).expect("a component");
        }
        let options = Options {
            manifest,
            state_dir: folder.path().join("state"),
            ..Options::default()
        };
        let error = Application::load(&options).err().expect("an error");
        format!("{error:#}")
    }

    #[test]
    fn what_keeps_an_application_from_starting_is_named() {
        for (from, to, says) in [
            ("", "", "worker.wasm; build the components first"),
            ("[\"default\"]", "[\"other\"]", "[key_value_store.other]"),
            (
                "https://unset.invalid",
                "https://unset.invalid/path",
                "must not include a path",
            ),
            ("default = \"https://unset.invalid\"", "required = true", "\"url\""),
            ("url = \"{{ url }}\"", "url = \"{{ nobody }}\"", "\"nobody\""),
        ] {
            let error = error(from, to, None);
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_component_needs_the_handler_of_its_trigger() {
        let empty_component = b"\0asm\x0d\0\x01\0";
        let http = error("", "", Some(empty_component));
        assert!(http.contains("has no HTTP handler"), "{http}");
        let trigger = "[[trigger.cron]]\ncron_expression = \"* * * * * *\"\n";
        let cron = error(
            "[[trigger.http]]\n        route = \"/...\"",
            trigger,
            Some(empty_component),
        );
        assert!(cron.contains("has no cron handler"), "{cron}");
        let core_module = b"\0asm\x01\0\0\0";
        let module = error("", "", Some(core_module));
        assert!(module.contains("the component \"worker\""), "{module}");
    }
}
