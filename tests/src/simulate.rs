//! Runs the simulation over many seeds, on all cores: `cargo xtask simulate`.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use tests::simulation::nature::{Dimension, Nature};
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
    /// Leave these dimensions of random worlds ordinary, to see which of them a violation needs
    #[arg(long, value_delimiter = ',', value_parser = dimension)]
    without: Vec<Dimension>,
    /// Run only the seeds whose worlds have all of these dimensions out of the ordinary
    #[arg(long, value_delimiter = ',', value_parser = dimension)]
    with: Vec<Dimension>,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
}

fn dimension(name: &str) -> Result<Dimension, String> {
    let names = || Dimension::ALL.map(Dimension::name).join(", ");
    Dimension::of_name(name).ok_or_else(|| format!("one of {}", names()))
}

impl Cli {
    fn scenario(&self, seed: u64) -> Scenario {
        let scenario = if self.week {
            Scenario::week(seed)
        } else {
            Scenario::random(seed)
        };
        Scenario {
            without: self.without.clone(),
            ..scenario
        }
    }
}

/// What was out of the ordinary, for people.
fn names(dimensions: &[Dimension]) -> String {
    let names: Vec<&str> = dimensions.iter().map(|dimension| dimension.name()).collect();
    names.join(", ")
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
    let outcomes = many(&cli, &bar);
    bar.finish_and_clear();
    let worst = |of: fn(&Outcome) -> f64| outcomes.iter().map(|(_, outcome)| of(outcome)).fold(0.0, f64::max);
    println!(
        "at most {:.2} of the calls and {:.2} of the writes that may come to nothing, {} times the same body in a row",
        worst(|outcome| outcome.worst_effort.0),
        worst(|outcome| outcome.worst_effort.1),
        worst(|outcome| f64::from(outcome.most_alike)),
    );
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| !outcome.violations.is_empty())
        .collect();
    for (seed, outcome) in &failed {
        println!(
            "seed {seed} ({}): {}",
            names(&outcome.nature.dimensions),
            outcome.violations.join("; ")
        );
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
    println!("{:?}", outcome.nature);
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
    let has_all = |seed: &u64| {
        let nature = Nature::of(*seed, &cli.without);
        cli.with.iter().all(|dimension| nature.has(*dimension))
    };
    let count = usize::try_from(cli.seeds).unwrap_or(usize::MAX);
    let seeds: Vec<u64> = (cli.from..).filter(has_all).take(count).collect();
    let outcomes = search(cli.seeds, Until::AllAreRun, |number| {
        let outcome = run(&cli.scenario(seeds[usize::try_from(number).ok()?]));
        bar.inc(1);
        Some(outcome)
    });
    let with_seed = |(number, outcome)| (seeds[number as usize], outcome);
    outcomes.into_iter().map(with_seed).collect()
}
