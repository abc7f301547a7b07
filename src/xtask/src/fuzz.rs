//! The fuzzer: `cargo xtask fuzz`. It needs a nightly compiler, which only a person can install; cargo-fuzz is brought where
//! it is missing. The same targets run as property tests with all others, on any compiler.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{pypi, workspace};

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The target; all of them, one after the other, where none is named
    target: Option<String>,
    /// How long each target runs, in minutes
    #[arg(long, default_value_t = 10)]
    minutes: u64,
}

/// Writes what the targets begin with, and lets the fuzzer go on from there. What it has found interesting before is kept
/// below `fuzz/corpus`.
///
/// # Errors
/// Something that it needs is missing, or an input was found that a target fails on: libFuzzer says where it lies.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(
        workspace::output(Command::new("cargo").args(["+nightly", "--version"])).is_ok(),
        "the fuzzer needs a nightly compiler: `rustup toolchain install nightly`"
    );
    let cargo_fuzz = match workspace::on_path("cargo-fuzz") {
        Some(installed) => installed,
        None => pypi::CARGO_FUZZ
            .find_or_bring()
            .context("the fuzzer needs cargo-fuzz: `cargo install cargo-fuzz --locked`")?,
    };
    let corpus = workspace::root().join("fuzz/corpus");
    workspace::run(Command::new(workspace::native_program("seeds")?).arg(&corpus))?;
    let mut targets = targets()?;
    if let Some(wanted) = &args.target {
        targets.retain(|target| target == wanted);
        if targets.is_empty() {
            bail!("there is no target {wanted}");
        }
    }
    for target in targets {
        fuzz(&cargo_fuzz, &target, args.minutes)?;
    }
    Ok(())
}

/// The names of the targets, which are those of their files.
fn targets() -> Result<Vec<String>> {
    let files = fs::read_dir(workspace::root().join("fuzz/targets")).context("no fuzz/targets")?;
    let names = files
        .flatten()
        .filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

fn fuzz(cargo_fuzz: &PathBuf, target: &str, minutes: u64) -> Result<()> {
    let time = format!("-max_total_time={}", minutes * 60);
    let mut command = Command::new(cargo_fuzz);
    command
        .current_dir(workspace::root().join("fuzz"))
        .env("RUSTUP_TOOLCHAIN", "nightly")
        .args(["run", target, "--", &time, "-timeout=20", "-rss_limit_mb=4096"]);
    workspace::run(&mut command)
}
