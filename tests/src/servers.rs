//! Servers that others have made, as processes of whoever asks for them.

use crate::application::root;
use anyhow::{Context, Result, bail};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// Of what computes and waits for little, such as a browser or a shop, as many run at once as a small machine has cores,
/// however many tests do.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Waits until it is somebody's turn to start such a program, for as long as what is returned lives.
///
/// # Errors
/// Never: nobody closes the turns.
pub async fn turn() -> Result<SemaphorePermit<'static>, AcquireError> {
    TURNS.acquire().await
}

/// An nginx as Debian sets it up, but for what is said. Dropping it ends it.
pub struct Nginx {
    /// Where it is.
    pub url: String,
    _server: Server,
    _folder: TempDir,
}

impl Nginx {
    /// Starts the program that `NGINX` names, with one server of which this is said, and this beside it.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start(server: &str, beside: &str) -> Result<Nginx> {
        let folder = open_folder()?;
        let (at, port) = (folder.path().display(), free_port()?);
        // Only where its files are is not by default.
        let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .collect();
        let text = format!(
            "daemon off;\nuser nobody nogroup;\nworker_processes auto;\npid {at}/nginx.pid;\nerror_log {at}/nginx.log;\n\
             events {{\nworker_connections 768;\n}}\n\
             http {{\naccess_log off;\n{paths}{beside}\n\
             server {{\nlisten 127.0.0.1:{port};\n{server}\n}}\n}}\n"
        );
        std::fs::write(folder.path().join("nginx.conf"), text)?;
        let mut command = program("NGINX", "nginx");
        command.arg("-e").arg(folder.path().join("nginx.log"));
        command.arg("-c").arg(folder.path().join("nginx.conf"));
        let mut server = Server::start(command, folder.path())?;
        server.wait_for(|| answers(port)).await?;
        Ok(Nginx {
            url: format!("http://127.0.0.1:{port}"),
            _server: server,
            _folder: folder,
        })
    }

    /// Starts one before an application at this port, as `deploy/nginx` says it but for TLS.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn before(port: u16) -> Result<Nginx> {
        let locations = root().join("deploy/nginx/locations.conf");
        let beside = format!(
            "limit_conn_zone $binary_remote_addr zone=akeneo_relay:1m;\nupstream akeneo_relay {{ server 127.0.0.1:{port}; keepalive 16; }}"
        );
        Nginx::start(&format!("include {};", locations.display()), &beside).await
    }
}

/// A folder that a server may look into which gives up the rights of root.
///
/// # Errors
/// If it cannot be made.
pub fn open_folder() -> Result<TempDir> {
    let folder = TempDir::new()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

/// A port that is free now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16> {
    let socket = TcpListener::bind("127.0.0.1:0")?;
    Ok(socket.local_addr()?.port())
}

/// Whether somebody listens there.
pub fn answers(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The program that a variable names, or what it is called.
pub fn program(variable: &str, name: &str) -> Command {
    Command::new(std::env::var_os(variable).unwrap_or(name.into()))
}

/// A server and the processes that it makes. Dropping it ends them.
pub struct Server {
    child: Child,
    output: PathBuf,
}

impl Server {
    /// Starts it; what it prints goes into this folder.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(mut command: Command, folder: &Path) -> Result<Server> {
        let program = PathBuf::from(command.as_std().get_program());
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let output = folder.join(format!("{name}.output"));
        let file = std::fs::File::create(&output)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Server { child, output })
    }

    /// Waits until it is up.
    ///
    /// # Errors
    /// If it ends before; what it printed is told.
    pub async fn wait_for(&mut self, is_up: impl Fn() -> bool) -> Result<()> {
        while !is_up() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended: {status}: {}", std::fs::read_to_string(&self.output)?);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked to end, a server takes its own processes along. Where it cannot be asked it has ended.
        if let Some(id) = self.child.id() {
            let mut kill = std::process::Command::new("kill");
            drop(kill.args(["-TERM", &id.to_string()]).stderr(Stdio::null()).status());
        }
    }
}
