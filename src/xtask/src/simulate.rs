//! The seeded simulation: `cargo xtask simulate`.

use std::process::Command;

use anyhow::Result;

use crate::workspace;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run, on all cores
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Run this seed alone, with a trace of what happens
    #[arg(long)]
    seed: Option<u64>,
    /// Let each run be a week in which half of all deliveries are lost and reconciliation finds the rest
    #[arg(long)]
    week: bool,
}

/// Builds and runs it.
///
/// # Errors
/// It does not build. Where a rule does not hold on some seed, the program ends with a code that says so.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut simulate = Command::new(workspace::native_program("simulate")?);
    simulate.arg("--seeds").arg(args.seeds.to_string());
    if let Some(seed) = args.seed {
        simulate.arg("--seed").arg(seed.to_string());
    }
    simulate.args(args.week.then_some("--week"));
    workspace::become_program(&mut simulate)
}
