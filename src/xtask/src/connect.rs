//! The subscription of a running application at Akeneo: `cargo xtask connect`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::workspace;

/// Which application is asked, and for what.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").multiple(false)))]
pub(crate) struct Args {
    /// The application's origin
    #[arg(long, default_value = "http://127.0.0.1:3000", value_name = "ORIGIN")]
    url: String,
    /// How long a tick under way is waited for, in seconds
    #[arg(long, default_value_t = 75, value_name = "SECONDS")]
    wait: u64,
    /// Where Akeneo writes to people; needed once
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Do what is shown
    #[arg(long)]
    yes: bool,
    /// Change secrets although deliveries may be refused meanwhile
    #[arg(long)]
    force: bool,
    /// Resume a suspended subscription
    #[arg(long, group = "what")]
    resume: bool,
    /// Delete the subscription, for good
    #[arg(long, group = "what")]
    remove: bool,
    /// Show what Akeneo has logged of the subscription
    #[arg(long, group = "what")]
    logs: bool,
    /// The filter that the subscription gets, empty for none: see what it drops before you say --yes
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Write a new secret to this file, and change nothing
    #[arg(long, group = "what", value_name = "FILE")]
    new_secret: Option<PathBuf>,
}

/// Builds and runs the program that asks. The administration's token is read from the environment.
///
/// # Errors
/// It does not build. Where nobody answers or what was asked for cannot be done, the program ends with a code that says so.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut program = Command::new(workspace::native_program("connecting")?);
    program.args(["--url", &args.url, "--wait", &args.wait.to_string()]);
    for (name, value) in [("--email", &args.email), ("--filter", &args.filter)] {
        program.args(value.iter().flat_map(|value| [name, value]));
    }
    for (is_set, name) in [
        (args.yes, "--yes"),
        (args.force, "--force"),
        (args.resume, "--resume"),
        (args.remove, "--remove"),
        (args.logs, "--logs"),
    ] {
        program.args(is_set.then_some(name));
    }
    if let Some(file) = &args.new_secret {
        program.arg("--new-secret").arg(file);
    }
    workspace::become_program(&mut program)
}
