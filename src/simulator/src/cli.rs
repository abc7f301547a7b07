//! Commands and their options.

mod compare;
mod send;
mod serve;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Simulates what a connector between an Akeneo PIM and a destination meets.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a PIM with a generated catalogue.
    Pim(serve::PimOptions),
    /// Serve a destination: any path takes PUT, POST, PATCH, DELETE and GET of JSON.
    Destination(serve::DestinationOptions),
    /// Make edits in a simulated PIM and deliver their events, signed, to a receiver.
    Send(Box<send::Options>),
    /// Compare what a simulated PIM shows with what a simulated destination holds; exit code 1 if they differ.
    Compare(compare::Options),
}

impl Cli {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Pim(options) => options.run().await,
            Command::Destination(options) => options.run().await,
            Command::Send(options) => options.run().await,
            Command::Compare(options) => options.run().await,
        }
    }
}
