//! A Redis of its own for who asks for one.

use anyhow::{Context, Result, bail};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// A running Redis that keeps nothing on disk. Dropping it ends it.
pub struct RedisServer {
    /// Where it is.
    pub url: String,
    folder: TempDir,
    _child: Child,
}

impl RedisServer {
    /// Starts the program that the variable `REDIS_SERVER` names, and waits until it can be spoken to.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start() -> Result<RedisServer> {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or("redis-server".into());
        let folder = TempDir::new()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut child = Command::new(&program)
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended: {status}", program.display());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let url = format!("redis://{address}");
        let config = format!("[key_value_store.default]\ntype = \"redis\"\nurl = \"{url}\"\n");
        std::fs::write(folder.path().join("runtime.toml"), config)?;
        Ok(RedisServer {
            url,
            folder,
            _child: child,
        })
    }

    /// The file of a runtime configuration by which an application keeps its store here.
    pub fn runtime_config(&self) -> PathBuf {
        self.folder.path().join("runtime.toml")
    }
}
