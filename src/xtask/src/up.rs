//! Runs the application: on Spin where it is installed, else on the embedded runtime.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{components, workspace};

/// Before it, a key-value write was acknowledged before it was durable.
const OLDEST_SPIN: (u32, u32) = (3, 2);

/// The plugin that runs the worker's schedule.
const CRON_PLUGIN: &str = "trigger-cron";

/// How to run the application. The names are those of `spin up`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Address and port to listen on [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Folder of the key-value store and the logs [default: .spin beside spin.toml]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Set a variable of the application; may be given several times. SPIN_VARIABLE_NAME in the environment serves too
    #[arg(long = "variable", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// Runtime configuration: other stores, providers of variables
    #[arg(long, value_name = "FILE")]
    pub(crate) runtime_config_file: Option<PathBuf>,
}

/// Builds and runs the application, and becomes it where the system can do that, so that signals reach it directly.
///
/// # Errors
/// It cannot be built or started.
pub(crate) fn run(args: &Args) -> Result<()> {
    components::build()?;
    let mut command = command(args)?;
    workspace::become_program(&mut command)
}

/// The command that runs the built application, its store prepared.
///
/// # Errors
/// The embedded runtime is needed and cannot be built, or the store cannot be prepared.
pub(crate) fn command(args: &Args) -> Result<Command> {
    let state_dir = match &args.state_dir {
        Some(folder) => std::path::absolute(folder)?,
        None => workspace::root().join(".spin"),
    };
    let spin = find_spin();
    match &spin {
        Ok((major, minor)) => eprintln!("Running on Spin {major}.{minor}"),
        Err(reason) => eprintln!("Running on the embedded runtime: {reason}"),
    }
    prepare_store(&state_dir)?;
    let (mut command, manifest_flag) = if spin.is_ok() {
        let mut command = Command::new("spin");
        command.arg("up");
        (command, "--from")
    } else {
        (Command::new(runtime()?), "--manifest")
    };
    command.arg(manifest_flag).arg(workspace::root().join("spin.toml"));
    let listen = match &args.listen {
        Some(address) => address.clone(),
        None => free_address()?,
    };
    eprintln!("Starting at http://{listen}");
    command.arg("--listen").arg(listen).arg("--state-dir").arg(state_dir);
    for variable in &args.variables {
        command.arg("--variable").arg(variable);
    }
    if let Some(file) = &args.runtime_config_file {
        command.arg("--runtime-config-file").arg(std::path::absolute(file)?);
    }
    Ok(command)
}

/// Builds the embedded runtime and returns its program.
///
/// # Errors
/// It does not compile.
pub(crate) fn runtime() -> Result<PathBuf> {
    workspace::native_program("runtime")
}

/// Creates the key-value store with write-ahead logging before anybody else creates it without: Spin sets no journal
/// mode, and SQLite remembers it in the file. With it, requests do not wait for the worker's writes.
///
/// A store that is there already is left as it is.
///
/// # Errors
/// The folder or the file cannot be written.
pub(crate) fn prepare_store(state_dir: &Path) -> Result<()> {
    std::fs::create_dir_all(state_dir).with_context(|| format!("cannot create {}", state_dir.display()))?;
    let file = state_dir.join("sqlite_key_value.db");
    match File::create_new(&file) {
        Ok(mut new) => new
            .write_all(&empty_database())
            .with_context(|| format!("cannot write {}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if !has_write_ahead_log(&file) {
                eprintln!(
                    "{} has no write-ahead log; docs/platforms.md (SQLite) says how to switch it on",
                    file.display()
                );
            }
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("cannot create {}", file.display())),
    }
}

/// A database with no table and with write-ahead logging, as one page. It is all that is needed of SQLite here, and
/// SQLite itself is large to build.
pub(crate) fn empty_database() -> Vec<u8> {
    const PAGE: u16 = 4096;
    let mut page = vec![0; usize::from(PAGE)];
    let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
    // The header (SQLite file format, 1.3): page size, write and read version 2 for write-ahead logging, the fixed
    // payload fractions, the size in pages, schema format 4, UTF-8.
    put(0, b"SQLite format 3\0");
    put(16, &PAGE.to_be_bytes());
    put(18, &[2, 2, 0, 64, 32, 32]);
    put(28, &1u32.to_be_bytes());
    put(44, &4u32.to_be_bytes());
    put(56, &1u32.to_be_bytes());
    // The schema's table, an empty leaf (1.6): no cells, content from the end of the page.
    put(100, &[13, 0, 0, 0, 0]);
    put(105, &PAGE.to_be_bytes());
    page
}

/// Reads it from the file's header: bytes 18 and 19 are 2 for write-ahead logging (SQLite file format, 1.3.3).
fn has_write_ahead_log(file: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header.starts_with(b"SQLite format 3\0") && header[18..] == [2, 2]
}

/// A port that is free now. Another program can take it before the application does, which then says so and ends.
pub(crate) fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.to_string())
}

/// The version of the installed Spin if the application can run on it, else why not.
fn find_spin() -> Result<(u32, u32), String> {
    if workspace::on_path(&format!("spin{}", std::env::consts::EXE_SUFFIX)).is_none() {
        return Err("there is no spin on PATH".into());
    }
    let ask = |args: &[&str]| workspace::output(Command::new("spin").args(args)).map_err(|error| format!("{error:#}"));
    let printed = ask(&["--version"])?;
    let version = parse_version(&printed).ok_or_else(|| format!("spin --version printed {printed:?}"))?;
    if version < OLDEST_SPIN {
        return Err(format!(
            "Spin {}.{} is older than {}.{}",
            version.0, version.1, OLDEST_SPIN.0, OLDEST_SPIN.1
        ));
    }
    if !lists_plugin(&ask(&["plugins", "list", "--installed"])?, CRON_PLUGIN) {
        return Err(format!(
            "Spin has no cron plugin (`spin plugins install {CRON_PLUGIN}` brings it)"
        ));
    }
    Ok(version)
}

/// Reads `spin 3.4.1 (abc 2026-01-01)`.
fn parse_version(printed: &str) -> Option<(u32, u32)> {
    let mut parts = printed.strip_prefix("spin ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Whether a line of `spin plugins list` begins with the plugin's name: `trigger-cron 0.4.0 [installed]`.
fn lists_plugin(printed: &str, plugin: &str) -> bool {
    printed
        .lines()
        .any(|line| line.split_whitespace().next() == Some(plugin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_of_spin() {
        assert_eq!(parse_version("spin 3.4.1 (3ab4 2026-01-01)"), Some((3, 4)));
        assert_eq!(parse_version("spin 4.0.2-pre0 (3ab4)"), Some((4, 0)));
        assert_eq!(parse_version("SPIN Version 6.5 (model checker)"), None);
    }

    #[test]
    fn finds_the_plugin_by_its_whole_name() {
        assert!(lists_plugin(
            "cloud 0.11.0 [installed]\ntrigger-cron 0.4.0 [installed]\n",
            CRON_PLUGIN
        ));
        assert!(!lists_plugin(
            "trigger-cron-old 0.1.0 [installed]\nNo plugins found",
            CRON_PLUGIN
        ));
    }

    #[test]
    fn a_missing_store_has_no_write_ahead_log() {
        assert!(!has_write_ahead_log(Path::new("no such folder/sqlite_key_value.db")));
    }

    #[test]
    fn a_prepared_store_has_a_write_ahead_log_and_is_not_prepared_again() {
        let folder = std::env::temp_dir().join(format!("prepared-store-{}", std::process::id()));
        prepare_store(&folder).expect("the folder can be written");
        let file = folder.join("sqlite_key_value.db");
        assert!(has_write_ahead_log(&file));
        std::fs::write(&file, "somebody's data").expect("the file can be written");
        prepare_store(&folder).expect("there is nothing to do");
        assert_eq!(std::fs::read(&file).expect("it is still there"), b"somebody's data");
        std::fs::remove_dir_all(folder).expect("it can be removed");
    }

    #[test]
    fn a_free_address_can_be_listened_on() {
        let address = free_address().expect("loopback has a free port");
        TcpListener::bind(address).expect("it is free");
    }
}
