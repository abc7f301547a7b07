//! Runs the simulation over many seeds, on all cores: `cargo xtask simulate`.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use tests::simulation::seeds::{Until, search};
use tests::simulation::{Outcome, Scenario, run};

/// Runs the connector in a seeded world where everything fails, and checks that nothing is lost
#[derive(Parser)]
struct Cli {
    /// How many seeds to run
    #[arg(long)]
    seeds: u64,
    /// Run this seed alone, with a trace of what happens
    #[arg(long)]
    seed: Option<u64>,
    /// Let each run be a week in which half of all deliveries are lost and reconciliation finds the rest
    #[arg(long)]
    week: bool,
}

impl Cli {
    fn scenario(&self, seed: u64) -> Scenario {
        if self.week {
            Scenario::week(seed)
        } else {
            Scenario::random(seed)
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return one(Scenario {
            traced: true,
            ..cli.scenario(seed)
        });
    }
    let bar = ProgressBar::new(cli.seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds ({elapsed}, {eta} left)") {
        bar.set_style(style);
    }
    let failed = many(&cli, &bar);
    bar.finish_and_clear();
    for (seed, outcome) in &failed {
        println!("seed {seed}: {}", outcome.violations.join("; "));
        let week = if cli.week { " --week" } else { "" };
        println!("  again, with a trace: cargo xtask simulate --seed {seed}{week}");
    }
    println!("{} seeds, {} with a violation", cli.seeds, failed.len());
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn one(scenario: Scenario) -> ExitCode {
    let outcome = run(&scenario);
    for line in &outcome.trace {
        println!("{line}");
    }
    for violation in &outcome.violations {
        println!("VIOLATION: {violation}");
    }
    println!(
        "{} deliveries acknowledged, {} kills, {} dead letters",
        outcome.acknowledged, outcome.killed, outcome.dead_letters
    );
    if outcome.violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn many(cli: &Cli, bar: &ProgressBar) -> Vec<(u64, Outcome)> {
    search(cli.seeds, Until::AllAreRun, |seed| {
        let outcome = run(&cli.scenario(seed));
        bar.inc(1);
        (!outcome.violations.is_empty()).then_some(outcome)
    })
}
