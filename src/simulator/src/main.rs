//! The simulator from the command line: a PIM, a destination, a sender of deliveries, a comparison.

mod cli;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    cli::Cli::parse().run().await
}
