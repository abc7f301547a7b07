//! How fast the application is, each figure beside what it is measured by. `cargo xtask bench` builds everything and calls
//! this.

mod args;
mod attack;
mod drain;
mod evaluation;
mod freshness;
mod idle;
mod ingest;
mod listing;
mod pairs;
mod requests;
mod running;
mod table;

use anyhow::Result;
use args::{Args, Host, Name};
use clap::Parser;
use std::process::ExitCode;
use table::Table;
use tests::ending;

/// Measures how fast the application is
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

#[tokio::main]
async fn main() -> ExitCode {
    ending::of(run(Cli::parse().args).await.map(|()| ExitCode::SUCCESS))
}

async fn run(args: Args) -> Result<()> {
    let mut table = Table::begin(args.json.clone(), args.compare.as_deref())?;
    if args.wants(Name::Acknowledgement) {
        pairs::acknowledgement_at_a_backlog(&args, &mut table).await?;
        pairs::acknowledgement_beside_the_worker(&args, &mut table).await?;
    }
    if args.wants(Name::Entity) {
        pairs::entities(&args, &mut table).await?;
    }
    for host in args.hosts() {
        if host.needs_redis() && std::env::var_os("REDIS_SERVER").is_none() {
            eprintln!("Left out: {}, since there is no Redis", host.name());
            continue;
        }
        on(host, &args, &mut table).await?;
    }
    if args.wants(Name::Reading) {
        for (what, double, single) in evaluation::measured(args.answer, args.document)? {
            table.tell_times(&what, None, double, single)?;
        }
    }
    Ok(())
}

/// Measures all that depends on what the application runs on.
async fn on(host: Host, args: &Args, table: &mut Table) -> Result<()> {
    if args.wants(Name::Freshness) {
        freshness::measure(args, host, table).await?;
    }
    if args.wants(Name::Drain) {
        drain::measure(args, host, table).await?;
    }
    if args.wants(Name::Ingest) {
        ingest::measure(args, host, table).await?;
    }
    if args.wants(Name::Idle) {
        idle::measure(args, host, table).await?;
    }
    if args.wants(Name::Listing) {
        listing::measure(args, host, table).await?;
    }
    if args.wants(Name::Requests) {
        requests::measure(args, host, table).await?;
    }
    if args.wants(Name::Attack) {
        attack::measure(args, host, table).await?;
    }
    Ok(())
}
