//! What is wrong with a running application's set-up: `cargo xtask preflight`.

use std::process::Command;

use anyhow::Result;

use crate::workspace;

/// Which application is asked, and how it is told.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The application's origin
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "ORIGIN")]
    url: String,
    /// How long a tick under way is waited for, in seconds
    #[arg(long, default_value_t = 75, value_name = "SECONDS")]
    wait: u64,
    /// Print the application's answer as it is
    #[arg(long)]
    json: bool,
}

/// Builds and runs the program that asks. The administration's token is read from the environment.
///
/// # Errors
/// It does not build. Where nobody answers or something has to be mended, the program ends with a code that says so.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut checkup = Command::new(workspace::native_program("checkup")?);
    checkup.args(["--url", &args.url, "--wait", &args.wait.to_string()]);
    if args.json {
        checkup.arg("--json");
    }
    workspace::become_program(&mut checkup)
}
