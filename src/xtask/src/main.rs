//! `cargo xtask`: everything a developer does with the project, in one command.
//!
//! | module | what it does |
//! |---|---|
//! | [`components`] | builds the WebAssembly components that `spin.toml` names |
//! | [`demo`] | shows the main job from end to end |
//! | [`bench`] | measures how fast it is |
//! | [`fuzz`] | gives what reads the bytes of strangers any bytes |
//! | [`connect`] | shows or changes a running application's subscription at Akeneo |
//! | [`preflight`] | tells what is wrong with a running application's set-up |
//! | [`shape`] | shows what a shape makes of entities |
//! | [`checks`] | tests, formatting, lints; [`deny`] licences and sources of libraries |
//! | [`packages`], [`npm`], [`pypi`], [`axe`] | bring what some tests need; [`real`] the real systems of other tests |
//! | [`up`] | runs the application, on Spin or on the embedded runtime |
//! | [`release`] | writes all that runs the application without this checkout; [`template`] what `spin new` makes of it |
//! | [`toolchain`] | the compiler for `wasm32-wasip2`; [`debian`] and [`mirror`] bring one where rustup cannot |
//! | [`workspace`] | where things are, and how other programs are called |
//! | [`progress`] | what is shown while somebody waits |
//!
//! It is kept small on purpose: it is compiled before anything else can be done, so it has few dependencies, and leaves
//! what needs heavy ones (SQLite, a WebAssembly engine) to the programs that it builds and calls.

mod axe;
mod bench;
mod checks;
mod components;
mod connect;
mod debian;
mod demo;
mod deny;
mod fuzz;
#[cfg(test)]
mod links;
mod mirror;
mod npm;
mod packages;
mod preflight;
mod progress;
mod pypi;
mod real;
mod release;
#[cfg(test)]
mod security;
mod shape;
mod simulate;
mod template;
mod toolchain;
mod up;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Builds and runs the connector",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the components, bringing a WebAssembly toolchain first where there is none
    Build,
    /// Build the components and run the application until Ctrl-C
    Up(up::Args),
    /// Run the application between a simulated PIM and destination, and prove that they end equal
    Demo(demo::Args),
    /// Show, make, move, resume or remove a running application's subscription to the PIM's events
    Connect(connect::Args),
    /// Tell what is wrong with the set-up of a running application, before the first event comes
    Preflight(preflight::Args),
    /// Show what a shape makes of an entity, or what a run with it would send
    Shape(shape::Args),
    /// Build everything and run the tests
    Test(checks::Args),
    /// Run the seeded simulation in which everything fails: any number of seeds, or one with a trace
    Simulate(simulate::Args),
    /// Give what reads the bytes of strangers any bytes, by libFuzzer
    Fuzz(fuzz::Args),
    /// Measure how fast the application is, as ratios of what is measured in one run
    Bench(bench::Args),
    /// Build the components and write all that runs them without this checkout into one folder
    Release(release::Args),
    /// Check formatting and lints
    Check,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Build => components::build().map(drop),
        Task::Up(args) => up::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Connect(args) => connect::run(&args),
        Task::Preflight(args) => preflight::run(&args),
        Task::Shape(args) => shape::run(&args),
        Task::Test(args) => checks::test(&args),
        Task::Simulate(args) => simulate::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Release(args) => release::run(&args),
        Task::Check => checks::check(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
