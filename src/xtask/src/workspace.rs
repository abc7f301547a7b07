//! Where things are in the checkout, and how other programs are called.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// The folder of the workspace: it holds `spin.toml`.
pub(crate) fn root() -> &'static Path {
    // Fixed when compiling: cargo compiles a package anew when its folder moves.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// The folder of build results. Always this one, whatever `CARGO_TARGET_DIR` says, because `spin.toml` names files in it.
pub(crate) fn target_dir() -> PathBuf {
    root().join("target")
}

/// The cargo that runs us, to be run in the workspace with its results in [`target_dir`].
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    command
}

/// The packages that do not run natively: the components, and what adapts them to Spin, are for WebAssembly.
pub(crate) const FOR_WASM: [&str; 9] = [
    "console",
    "host",
    "ingest",
    "ingest-p3",
    "reference-at-once",
    "reference-one-set",
    "reference-one-set-p3",
    "setup",
    "worker",
];

/// cargo for the native packages, always for all of them: with fewer, cargo would choose other features of the
/// libraries that they share, and build these once more.
pub(crate) fn native(command: &str) -> Command {
    let mut cargo = cargo();
    cargo
        .args([command, "--workspace"])
        .args(FOR_WASM.iter().flat_map(|name| ["--exclude", name]));
    cargo
}

/// Builds the native packages and returns one of their programs.
///
/// # Errors
/// They do not compile.
pub(crate) fn native_program(name: &str) -> Result<PathBuf> {
    run(native("build").arg("--bins"))?;
    let program = format!("{name}{}", env::consts::EXE_SUFFIX);
    Ok(target_dir().join("debug").join(program))
}

/// Runs a program to its end, with our own standard streams.
///
/// # Errors
/// It cannot be started, or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = describe(command);
    let status = command.status().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Becomes a program, which tells itself what keeps it from its work, and ends as it ends. It is not known here how it does:
/// what is to be done after it has to be done by it.
///
/// # Errors
/// It cannot be started.
#[cfg(unix)]
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", describe(command)))
}

/// The same where a process cannot become another one.
#[cfg(not(unix))]
pub(crate) fn become_program(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", describe(command)))?;
    std::process::exit(status.code().unwrap_or(1))
}

/// Runs a program to its end and returns what it printed, trimmed.
///
/// # Errors
/// It cannot be started, or does not succeed; what it wrote to standard error is then part of the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = describe(command);
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot start {name}"))?;
    if !status.success() {
        bail!("{name} failed ({status}): {}", String::from_utf8_lossy(&stderr).trim());
    }
    Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
}

/// The first file of this name in the folders of `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// A program and its first argument, for a message. Not all arguments: a variable's value may be a secret.
fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let first = command.get_args().next().unwrap_or(OsStr::new(""));
    format!("`{} {}`", program.display(), first.display()).replace(" `", "`")
}
