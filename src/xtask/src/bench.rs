//! How fast the application is: `cargo xtask bench`.

use std::process::Command;

use anyhow::Result;

use crate::{components, up, workspace};

/// What to measure with.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Products in the simulated PIM
    #[arg(long, default_value_t = 1000)]
    products: usize,
    /// Events that wait where many do
    #[arg(long, default_value_t = 20_000)]
    backlog: usize,
    /// Deliveries that are timed, of each kind
    #[arg(long, default_value_t = 300)]
    deliveries: usize,
}

/// Builds everything and measures.
///
/// # Errors
/// Something does not build or start, or a delivery is not acknowledged.
pub(crate) fn run(args: &Args) -> Result<()> {
    components::build()?;
    up::runtime()?;
    let mut bench = Command::new(workspace::native_program("bench")?);
    bench
        .args(["--products", &args.products.to_string()])
        .args(["--backlog", &args.backlog.to_string()])
        .args(["--deliveries", &args.deliveries.to_string()]);
    workspace::run(&mut bench)
}
