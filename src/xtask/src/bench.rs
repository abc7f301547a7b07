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
    /// Bytes of the answers of a destination that are timed; 1 MiB is the most that is read of one
    #[arg(long, default_value_t = 1 << 20)]
    answer: usize,
    /// Bytes of the documents of the shape that are timed; 128 KiB is the most that Linux takes as one variable
    #[arg(long, default_value_t = 128 << 10)]
    document: usize,
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
        .args(["--deliveries", &args.deliveries.to_string()])
        .args(["--answer", &args.answer.to_string()])
        .args(["--document", &args.document.to_string()]);
    workspace::run(&mut bench)
}
