//! The processes of an application: the embedded runtime, or Spin with what it starts.

use crate::application::{ADMIN_TOKEN, MANIFEST, Setup, component, root};
use crate::client;
use anyhow::{Context, Result, bail, ensure};
use http::Method;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// What runs an application. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    /// Spin has a process for each kind of trigger, which outlive a killed parent: they are one group, of this number.
    group: Option<u32>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Where it cannot be killed it has ended.
            let _ = send("KILL", &format!("-{group}"));
        }
    }
}

impl Process {
    /// Starts an application and waits until it can be asked; gives its origin, too.
    pub(crate) async fn start(address: &str, state: &Path, setup: &Setup) -> Result<(Process, String)> {
        match &setup.spin {
            None => embedded(address, state, setup).await,
            Some(spin) => on_spin(spin, address, state, setup).await,
        }
    }

    /// Sends a signal, by the name that `kill` knows it by.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let process = self.child.id().context("it has ended")?;
        let all = self.group.map(|group| format!("-{group}"));
        send(name, &all.unwrap_or(process.to_string()))
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub(crate) async fn kill(mut self) -> Result<()> {
        if self.group.is_some() {
            self.signal("KILL")?;
        }
        Ok(self.child.kill().await?)
    }

    /// The most memory that it has had at once, in bytes; of several processes, the sum of what each has had.
    pub(crate) fn peak_bytes(&self) -> Result<usize> {
        let peak = |process: &Seen| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.id)).ok()?;
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            peak.trim().trim_end_matches(" kB").parse::<usize>().ok()
        };
        let kilobytes: usize = self.seen()?.iter().filter_map(peak).sum();
        ensure!(kilobytes > 0, "no VmHWM");
        Ok(kilobytes << 10)
    }

    /// The processor time that it has used so far; none where the system does not tell as Linux does.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let ticks = self.seen().ok()?.iter().map(|process| process.ticks).sum::<u64>();
        Some(Duration::from_millis(ticks * TICK_MS))
    }

    /// The processes that it is, as Linux tells of them.
    fn seen(&self) -> Result<Vec<Seen>> {
        let process = self.child.id().context("it has ended")?;
        let seen = std::fs::read_dir("/proc")?.filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            let id = stat.split(' ').next()?.parse::<u32>().ok()?;
            // What follows the name, which may hold anything, begins with the third field (proc(5)).
            let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
            let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
            let is_of_it = id == process || self.group.is_some() && field(5) == self.group.map(u64::from);
            let ticks = field(14)? + field(15)?;
            is_of_it.then_some(Seen { id, ticks })
        });
        Ok(seen.collect())
    }
}

/// A process as Linux tells of it.
struct Seen {
    id: u32,
    /// The processor time that it has used.
    ticks: u64,
}

/// What Linux counts processor time in, in milliseconds: `USER_HZ` is 100 on all that it tells it to.
const TICK_MS: u64 = 10;

fn send(signal: &str, to: &str) -> Result<()> {
    let status = std::process::Command::new("kill")
        .args([&format!("-{signal}"), "--", to])
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("kill -{signal}: {status}");
    }
    Ok(())
}

/// The embedded runtime's program. `cargo xtask test` builds it, and the components, before any test.
fn runtime() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program
        .ancestors()
        .find(|folder| folder.ends_with("debug"))
        .context("the tests run from target/debug")?;
    let runtime = folder.join(format!("runtime{}", std::env::consts::EXE_SUFFIX));
    if !runtime.exists() || !component("worker").exists() {
        bail!("the components or the runtime are not built: run the tests by `cargo xtask test`");
    }
    Ok(runtime)
}

/// What the environment cannot tell a component, since variables are Unicode.
fn not_unicode() -> std::ffi::OsString {
    #[cfg(unix)]
    return std::os::unix::ffi::OsStringExt::from_vec(vec![b'a', 0xff]);
    #[cfg(windows)]
    return std::os::windows::ffi::OsStringExt::from_wide(&[0xd800]);
}

/// A command with the options that Spin and the embedded runtime have in common.
fn command(program: &Path, address: &str, state: &Path, setup: &Setup) -> Result<Command> {
    let mut command = Command::new(program);
    if setup.spin.is_some() {
        command.arg("up");
    }
    let manifest = if setup.spin.is_some() { "--from" } else { "--manifest" };
    let default = || std::env::var_os(MANIFEST).map_or_else(|| root().join("spin.toml"), PathBuf::from);
    command
        .arg(manifest)
        .arg(setup.manifest.clone().unwrap_or_else(default));
    command.args(["--listen", address]).arg("--state-dir").arg(state);
    if let Some(file) = &setup.runtime_config {
        command.arg("--runtime-config-file").arg(file);
    }
    for (name, value) in &setup.variables {
        command.arg("--variable").arg(format!("{name}={value}"));
    }
    for name in &setup.unreadable {
        command.env(format!("SPIN_VARIABLE_{}", name.to_uppercase()), not_unicode());
    }
    if !setup.closed {
        command.arg("--variable").arg(format!("admin_token={ADMIN_TOKEN}"));
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log(state))?;
    command.stdin(Stdio::null()).stderr(log).kill_on_drop(true);
    Ok(command)
}

/// What the process prints to its standard error.
fn log(state: &Path) -> PathBuf {
    state.join("runtime.log")
}

async fn embedded(address: &str, state: &Path, setup: &Setup) -> Result<(Process, String)> {
    let mut command = command(&runtime()?, address, state, setup)?;
    command.arg("--store-log").arg(state.join("store.log"));
    command.arg("--memory-log").arg(state.join("memory.log"));
    if !setup.cron {
        command.arg("--no-cron");
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("its output is piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let url = loop {
        match lines.next_line().await? {
            Some(line) => {
                if let Some(url) = line.strip_prefix("listening on ") {
                    break url.to_owned();
                }
            }
            None => bail!(
                "the application did not start: {}",
                std::fs::read_to_string(log(state))?
            ),
        }
    };
    // What it prints later goes to its log files as well; here it only must not block.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((Process { child, group: None }, url))
}

async fn on_spin(spin: &Path, address: &str, state: &Path, setup: &Setup) -> Result<(Process, String)> {
    prepare_store(state)?;
    // Spin does not tell which port it took: one that is free now is named.
    let address = TcpListener::bind(address)?.local_addr()?.to_string();
    let mut command = command(spin, &address, state, setup)?;
    #[cfg(unix)]
    command.process_group(0);
    let child = command.stdout(Stdio::null()).spawn()?;
    let group = child.id();
    let mut process = Process { child, group };
    let url = format!("http://{address}");
    while !is_healthy(&url).await {
        if process.child.try_wait()?.is_some() {
            bail!("Spin did not start: {}", std::fs::read_to_string(log(state))?);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok((process, url))
}

/// Makes Spin's store before Spin does, with a write-ahead log, as `cargo xtask up` and a release do.
fn prepare_store(state: &Path) -> Result<()> {
    let store = rusqlite::Connection::open(state.join("sqlite_key_value.db"))?;
    Ok(store.pragma_update(None, "journal_mode", "wal")?)
}

async fn is_healthy(url: &str) -> bool {
    let answer = client::request(Method::GET, &format!("{url}/healthz"), &[], "").await;
    answer.is_ok_and(|answer| answer.status == 200)
}
