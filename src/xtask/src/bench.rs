//! How fast the application is: `cargo xtask bench`.

use std::process::Command;

use anyhow::Result;

use crate::{components, npm, packages, real, up, workspace};

#[path = "../../../tests/src/bench/args.rs"]
#[allow(dead_code, reason = "most is for the program, which reads it as well")]
mod args;

pub(crate) use args::Args;
use args::Name;

/// Builds everything and measures.
///
/// # Errors
/// Something does not build or start, or does not do what is measured of it.
pub(crate) fn run(args: &Args) -> Result<()> {
    components::build()?;
    components::build_references()?;
    up::runtime()?;
    let mut bench = Command::new(workspace::native_program("bench")?);
    // As they were told to us: after our own name, and the task's.
    bench.args(std::env::args_os().skip(2));
    let has_node = ["node", "npm"]
        .iter()
        .all(|program| workspace::on_path(program).is_some());
    let wants_node = args.wants(Name::Ingest) && has_node;
    if wants_node || args.hosts().iter().any(|host| host.needs_redis()) {
        match packages::REDIS.find_or_bring() {
            Ok(programs) => {
                bench.envs(["REDIS_SERVER"].iter().zip(programs));
            }
            Err(why) => eprintln!("Left out: what needs a Redis: {why:#}"),
        }
    }
    if args.wants(Name::Attack) {
        match packages::NGINX.find_or_bring() {
            Ok(programs) => {
                bench.envs(["NGINX"].iter().zip(programs));
            }
            Err(why) => eprintln!("Left out: an attack behind nginx: {why:#}"),
        }
    }
    if wants_node {
        match npm::RECEIVER.find_or_bring() {
            Ok(modules) => {
                bench.env("RECEIVER_MODULES", modules);
            }
            Err(error) => {
                let why = format!("{error:#}");
                if !real::is_out_of_reach(&why) {
                    return Err(error);
                }
                eprintln!("Left out: the receiver of Node.js, whose registry is out of reach: {why}");
            }
        }
    }
    workspace::become_program(&mut bench)
}
