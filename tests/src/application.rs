//! The application as a process: the components that are deployed, on the embedded runtime or on Spin.

use crate::client::{self, Answer, bearer};
use crate::process::Process;
use anyhow::{Result, bail};
use http::Method;
use serde_json::Value;
use simulator::deliveries::Delivery;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::sleep;

/// The administration's token of every application under test.
pub const ADMIN_TOKEN: &str = "administration-of-the-test";

/// The variable that names the manifest of the applications under test, where it is not that of the checkout: the one with
/// ingest on WASI 0.3.
pub(crate) const MANIFEST: &str = "MANIFEST";

/// Where the project is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// The file of a component, as it is deployed.
pub fn component(name: &str) -> PathBuf {
    root().join(format!("target/wasm32-wasip2/release/{name}.wasm"))
}

/// How an application is started.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Variables.
    pub variables: Vec<(String, String)>,
    /// Variables that their provider, which is the environment here, cannot tell.
    pub unreadable: Vec<String>,
    /// Spin's program, to run on Spin itself; none is the embedded runtime.
    pub spin: Option<PathBuf>,
    /// Whether its cron triggers fire; tests drive the tick themselves. On Spin those of the manifest always do.
    pub cron: bool,
    /// The manifest; none is that which the variable [`MANIFEST`] names, or that of the checkout.
    pub manifest: Option<PathBuf>,
    /// A runtime configuration file.
    pub runtime_config: Option<PathBuf>,
    /// Whether it is started without the administration's token.
    pub closed: bool,
}

impl Setup {
    /// With one more variable, or another value of it.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Setup {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The value of a variable; empty where it has none here.
    pub fn variable(&self, name: &str) -> &str {
        let mut known = self.variables.iter();
        known.find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// With a variable that cannot be read.
    #[must_use]
    pub fn with_unreadable(mut self, name: &str) -> Setup {
        self.variables.retain(|(known, _)| known != name);
        self.unreadable.push(name.to_owned());
        self
    }
}

/// A running application. Dropping it kills it.
pub struct Application {
    process: Process,
    /// Its origin.
    pub url: String,
    state: Arc<TempDir>,
    setup: Setup,
}

impl Application {
    /// Starts one on an empty store.
    ///
    /// # Errors
    /// If it does not start; what it printed is told.
    pub async fn start(setup: Setup) -> Result<Application> {
        Application::start_on(Arc::new(TempDir::new()?), setup).await
    }

    /// Starts one on a store that may hold something already.
    ///
    /// # Errors
    /// As [`Application::start`].
    pub async fn start_on(state: Arc<TempDir>, setup: Setup) -> Result<Application> {
        Application::start_at("127.0.0.1:0", state, setup).await
    }

    /// Starts one on a store that may hold something already, at this address.
    ///
    /// # Errors
    /// As [`Application::start`].
    pub async fn start_at(address: &str, state: Arc<TempDir>, setup: Setup) -> Result<Application> {
        let (process, url) = Process::start(address, state.path(), &setup).await?;
        Ok(Application {
            process,
            url,
            state,
            setup,
        })
    }

    /// Sends its process a signal, by the name that `kill` knows it by.
    ///
    /// # Errors
    /// If it has ended, or there is no such signal.
    pub fn signal(&self, name: &str) -> Result<()> {
        self.process.signal(name)
    }

    /// The processor time that it has used so far; none where the system does not tell as Linux does.
    pub fn processor_time(&self) -> Option<Duration> {
        self.process.processor_time()
    }

    /// The most memory that its process has had at once, in bytes.
    ///
    /// # Errors
    /// If it has ended, or the system does not say so.
    pub fn peak_bytes(&self) -> Result<usize> {
        self.process.peak_bytes()
    }

    /// Kills it with SIGKILL; gives its store's folder and its setup, to start another one.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub async fn kill(self) -> Result<(Arc<TempDir>, Setup)> {
        self.process.kill().await?;
        Ok((self.state, self.setup))
    }

    /// Kills it with SIGKILL and starts it again on the same store.
    ///
    /// # Errors
    /// As [`Application::start`].
    pub async fn kill_and_restart(self) -> Result<Application> {
        let (state, setup) = self.kill().await?;
        Application::start_on(state, setup).await
    }

    /// Kills it and starts it again on the same store with another setup.
    ///
    /// # Errors
    /// As [`Application::start`].
    pub async fn restart_with(self, setup: Setup) -> Result<Application> {
        let (state, _) = self.kill().await?;
        Application::start_on(state, setup).await
    }

    /// Its store's folder, for a second application on it.
    pub fn state(&self) -> Arc<TempDir> {
        self.state.clone()
    }

    /// How it was set up.
    pub fn setup(&self) -> Setup {
        self.setup.clone()
    }

    /// Waits until ingest keeps nothing any more of what it has read: on WASI 0.3 it keeps that for a second.
    pub async fn forgets(&self) {
        if self.is_on_p3() {
            sleep(Duration::from_millis(1100)).await;
        }
    }

    /// Whether its ingest is the one on WASI 0.3.
    pub fn is_on_p3(&self) -> bool {
        self.setup.manifest.is_none() && std::env::var_os(MANIFEST).is_some()
    }

    /// Makes a request.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: impl Into<bytes::Bytes>,
    ) -> Result<Answer> {
        client::request(method, &format!("{}{path}", self.url), headers, body).await
    }

    /// Delivers.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn deliver(&self, delivery: &Delivery) -> Result<Answer> {
        self.request(Method::POST, &delivery.path, &delivery.headers, delivery.body.clone())
            .await
    }

    /// Runs one tick and gives its report.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn tick(&self) -> Result<Value> {
        let answer = self
            .request(Method::POST, "/worker/tick", &[bearer(ADMIN_TOKEN)], "")
            .await?;
        Ok(answer.json())
    }

    /// Ticks until one finds nothing to do; gives the reports of those that did.
    ///
    /// # Errors
    /// If there is no answer, or a hundred ticks are not enough.
    pub async fn tick_until_idle(&self) -> Result<Vec<Value>> {
        let mut reports = Vec::new();
        for _ in 0..100 {
            let report = self.tick().await?;
            if report["outcome"] == "idle" {
                return Ok(reports);
            }
            reports.push(report);
        }
        bail!("still not idle: {:?}", reports.last())
    }

    /// Lets all deletions pass that the brake holds, for an hour.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn release_brake(&self) -> Result<()> {
        let url = format!("{}/admin/brake/release", self.url);
        client::request(http::Method::POST, &url, &[client::bearer(ADMIN_TOKEN)], "").await?;
        Ok(())
    }

    /// Ticks until this holds.
    ///
    /// # Errors
    /// If there is no answer, or hundreds of ticks do not get there.
    pub async fn until(&self, holds: impl Fn() -> bool) -> Result<()> {
        for _ in 0..300 {
            if holds() {
                return Ok(());
            }
            self.tick().await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("it does not come about; the last tick: {}", self.tick().await?)
    }

    /// Every store operation so far: component, operation, keys.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn store_operations(&self) -> Result<Vec<Value>> {
        self.lines("store.log")
    }

    /// By how much memory each call of a component grew that is over by now, in bytes; on the embedded runtime.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn memory_grown(&self, component: &str) -> Result<Vec<u64>> {
        let calls = self.lines("memory.log")?.into_iter();
        let calls = calls.filter(|call| call["component"] == component);
        Ok(calls.filter_map(|call| call["grown"].as_u64()).collect())
    }

    /// What the embedded runtime has written down in a file.
    fn lines(&self, file: &str) -> Result<Vec<Value>> {
        let log = std::fs::read_to_string(self.state.path().join(file)).unwrap_or_default();
        log.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// The lines that a component has logged.
    pub fn log_lines(&self, component: &str) -> Vec<Value> {
        let file = self.state.path().join("logs").join(format!("{component}_stdout.txt"));
        let log = std::fs::read_to_string(file).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}
