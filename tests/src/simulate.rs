//! Runs the simulation over many seeds, on all cores: `cargo xtask simulate`.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tests::simulation::{Outcome, Scenario, run};

/// Runs the connector in a seeded world where everything fails, and checks that nothing is lost
#[derive(Parser)]
struct Cli {
    /// How many seeds to run
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Run this seed alone, with a trace of what happens
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(seed) = cli.seed {
        return one(seed);
    }
    let bar = ProgressBar::new(cli.seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds ({elapsed}, {eta} left)") {
        bar.set_style(style);
    }
    let failed = many(cli.seeds, &bar);
    bar.finish_and_clear();
    for (seed, outcome) in &failed {
        println!("seed {seed}: {}", outcome.violations.join("; "));
        println!("  again, with a trace: cargo xtask simulate --seed {seed}");
    }
    println!("{} seeds, {} with a violation", cli.seeds, failed.len());
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn one(seed: u64) -> ExitCode {
    let outcome = run(&Scenario {
        traced: true,
        ..Scenario::random(seed)
    });
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

fn many(seeds: u64, bar: &ProgressBar) -> Vec<(u64, Outcome)> {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let outcome = run(&Scenario::random(seed));
                    bar.inc(1);
                    if !outcome.violations.is_empty() {
                        failed
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((seed, outcome));
                    }
                }
            });
        }
    });
    let mut failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|(seed, _)| *seed);
    failed
}
