//! The tests and the checks: `cargo xtask test` and `cargo xtask check`.

use anyhow::Result;

use crate::{components, toolchain::Toolchain, up, workspace};

/// The packages that are built for WebAssembly alone.
const WASM: [&str; 3] = ["host", "ingest", "worker"];

/// Which tests to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also those that need packages of Debian or npm, which are installed where they are missing
    #[arg(long)]
    full: bool,
    /// Only tests whose name holds this
    filter: Option<String>,
}

/// Builds everything and runs the tests.
///
/// # Errors
/// Something does not build, or a test fails.
pub(crate) fn test(args: &Args) -> Result<()> {
    components::build()?;
    up::runtime()?;
    workspace::run(workspace::native("test").args(args.filter.iter()))?;
    if !args.full {
        eprintln!("Left out: nothing yet needs `--full`");
    }
    Ok(())
}

/// Formatting and lints, of the native packages and of the components.
///
/// # Errors
/// Something is not as it should be.
pub(crate) fn check() -> Result<()> {
    workspace::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    let lints = ["--deny", "warnings"];
    workspace::run(workspace::native("clippy").args(["--all-targets", "--"]).args(lints))?;
    let toolchain = Toolchain::find_or_bring(workspace::root())?;
    let packages: Vec<&str> = WASM.iter().flat_map(|name| ["--package", name]).collect();
    workspace::run(&mut toolchain.clippy(&packages, &lints))
}
