//! What `cargo xtask bench` is told. xtask reads it for its help texts, and hands it on as it is.

use std::path::PathBuf;

/// What to measure, and with what
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure only this; may be given several times [default: everything]
    #[arg(long, value_name = "NAME", value_enum)]
    pub(crate) only: Vec<Name>,
    /// Run the application on this; may be given several times [default: runtime, and where the variable SPIN names Spin's
    /// program, spin and spin-redis]
    #[arg(long, value_name = "HOST", value_enum)]
    pub(crate) on: Vec<Host>,
    /// Write what was measured to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Show beside each figure its ratio to that of an earlier run, which `--json` wrote to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// acknowledgement, entity, attack: products in the simulated PIM
    #[arg(long, default_value_t = 1000)]
    pub(crate) products: usize,
    /// acknowledgement: events that wait where many do
    #[arg(long, default_value_t = 20_000)]
    pub(crate) backlog: usize,
    /// acknowledgement: deliveries that are timed, of each kind
    #[arg(long, default_value_t = 300)]
    pub(crate) deliveries: usize,
    /// freshness: for how long products are edited, in seconds, four of them in each
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// drain: product models in a PIM and a destination that answer at once, each with 10 variants. There are 50 entities
    /// for each model, and 50 events on 20 of them are told at once
    #[arg(long, default_value_t = 100)]
    pub(crate) models: usize,
    /// drain: the same where the PIM takes 100 ms and the destination 50 ms; 100 is what the limits are stated for
    #[arg(long, default_value_t = 20)]
    pub(crate) slow_models: usize,
    /// ingest: for how long each receiver takes deliveries over so many connections, in seconds
    #[arg(long, default_value_t = 3)]
    pub(crate) ingest_seconds: u64,
    /// idle: for how long an application without work is watched, in seconds; 600 is what the limit is stated for
    #[arg(long, default_value_t = 20)]
    pub(crate) idle_seconds: u64,
    /// idle: products that the index knows; 100000 is what the limit is stated for
    #[arg(long, default_value_t = 100_000)]
    pub(crate) idle_products: u32,
    /// listing: products that the index knows; 1000000 is what the limit is stated for
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) listed_products: u32,
    /// requests: how many with a wrong signature are timed, and 25 times as many without one
    #[arg(long, default_value_t = 8)]
    pub(crate) forged: usize,
    /// attack: for how long it goes on, in seconds, and as long without; 180 is what the limits are stated for
    #[arg(long, default_value_t = 10)]
    pub(crate) attack_seconds: u64,
    /// attack: half-open requests that are held at once
    #[arg(long, default_value_t = 1100)]
    pub(crate) half_open: usize,
    /// attack: bodies of 16 MiB that are sent at once
    #[arg(long, default_value_t = 200)]
    pub(crate) bodies: usize,
    /// reading: bytes of the answers of a destination; 1 MiB is the most that is read of one
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) answer: usize,
    /// reading: bytes of the documents of the shape; 128 KiB is the most that Linux takes as one variable
    #[arg(long, default_value_t = 128 << 10)]
    pub(crate) document: usize,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// What makes an acknowledgement slower: a backlog, the worker's work
    Acknowledgement,
    /// What an entity takes the worker: in a shape, unchanged
    Entity,
    /// From an event to the destination, while four products a second are edited
    Freshness,
    /// A first load, a change of models with variants, and many events told at once, by what the destination allows
    Drain,
    /// Deliveries a second, beside components that do less and a receiver of Node.js
    Ingest,
    /// The processor's time of an application without work
    Idle,
    /// A tick with nothing to do, beside a large index and beside none
    Listing,
    /// What requests take of the processor that strangers can send
    Requests,
    /// Honest deliveries and memory while strangers hold connections and send large bodies, behind nginx and without a proxy
    Attack,
    /// Answers and documents of double the size, by the size
    Reading,
}

/// What the application runs on, with which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Host {
    /// The embedded runtime with SQLite
    Runtime,
    /// The embedded runtime with Redis
    RuntimeRedis,
    /// Spin with SQLite
    Spin,
    /// Spin with Redis
    SpinRedis,
}

impl Args {
    /// Whether this is to be measured.
    pub(crate) fn wants(&self, name: Name) -> bool {
        self.only.is_empty() || self.only.contains(&name)
    }

    /// What the application is to run on.
    pub(crate) fn hosts(&self) -> Vec<Host> {
        match (&self.on[..], std::env::var_os("SPIN")) {
            ([], None) => vec![Host::Runtime],
            ([], Some(_)) => vec![Host::Runtime, Host::Spin, Host::SpinRedis],
            (told, _) => told.to_vec(),
        }
    }
}

impl Host {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Host::Runtime => "runtime",
            Host::RuntimeRedis => "runtime-redis",
            Host::Spin => "spin",
            Host::SpinRedis => "spin-redis",
        }
    }

    /// Whether its store is Redis.
    pub(crate) fn needs_redis(self) -> bool {
        matches!(self, Host::RuntimeRedis | Host::SpinRedis)
    }
}
