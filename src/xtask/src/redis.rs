//! `redis-server` for the tests that need it: the installed one, else Debian's package, unpacked under `target`.
//!
//! It is not installed, so that no service starts and nothing of the system changes. apt says which packages are
//! missing, fetches and verifies them; the server is started with their libraries beside the system's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress::Step;
use crate::{debian, workspace};

const PROGRAM: &str = "redis-server";

/// The server's program; unpacks it first where there is none.
///
/// # Errors
/// There is no apt here, or it cannot fetch the packages.
pub(crate) fn find_or_bring() -> Result<PathBuf> {
    if let Some(installed) = workspace::on_path(PROGRAM) {
        return Ok(installed);
    }
    let folder = workspace::target_dir().join("redis");
    let script = folder.join(PROGRAM);
    if !script.is_file() {
        bring(&folder, &script).with_context(|| format!("no {PROGRAM} here; installing it by hand helps"))?;
    }
    Ok(script)
}

fn bring(folder: &Path, script: &Path) -> Result<()> {
    for program in ["apt-get", "dpkg-deb"] {
        ensure!(workspace::on_path(program).is_some(), "there is no {program}");
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let root = folder.join("root");
    fs::create_dir_all(&root)?;
    let step = Step::begin("Bringing Debian's redis-server");
    // An old list names files that the mirror no longer has; without rights to renew it, it is used as it is.
    workspace::output(Command::new("apt-get").args(["-qq", "update"])).ok();
    let packages = missing_packages()?;
    ensure!(!packages.is_empty(), "apt names no package");
    workspace::output(
        Command::new("apt-get")
            .args(["-qq", "download"])
            .args(&packages)
            .current_dir(folder),
    )?;
    for entry in fs::read_dir(folder)?.flatten() {
        let file = entry.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            workspace::output(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&root))?;
            fs::remove_file(file)?;
        }
    }
    write_script(&root, script)?;
    step.end();
    Ok(())
}

/// The server and what it needs, as far as it is not installed.
fn missing_packages() -> Result<Vec<String>> {
    let mut command = Command::new("apt-get");
    command
        .args(["-qq", "install", "--simulate", "--no-install-recommends", PROGRAM])
        .env("LC_ALL", "C");
    Ok(parse_simulation(&workspace::output(&mut command)?))
}

/// Reads `Inst <package> (<version> ...)`; an update has `[<old version>]` before the parenthesis.
fn parse_simulation(printed: &str) -> Vec<String> {
    printed
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// Becomes the server, so that a signal to the script reaches it. Written last: it says that all else is there.
fn write_script(root: &Path, script: &Path) -> Result<()> {
    let libraries = fs::read_dir(root.join("usr/lib"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|folder| folder.to_string_lossy().contains("-linux-gnu"))
        .context("the packages hold no libraries")?;
    let text = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
        libraries.display(),
        root.join("usr/bin").join(PROGRAM).display()
    );
    fs::write(script, text)?;
    debian::make_executable(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_apt_would_install() {
        let printed = "Inst liblzf1 (3.6-3 Debian:12/stable [amd64])\n\
                       Inst redis-tools [5:6] (5:7 Debian:12/stable [amd64]) []\nConf liblzf1 (3.6-3)";
        assert_eq!(parse_simulation(printed), ["liblzf1", "redis-tools"]);
    }
}
