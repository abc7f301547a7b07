//! The WebAssembly components of the application.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::toolchain::{TARGET, Toolchain};
use crate::workspace;

/// The packages that `spin.toml` names as components.
pub(crate) const COMPONENTS: [&str; 4] = ["ingest", "worker", "console", "setup"];

/// The packages that ingest is measured by, which are never deployed.
pub(crate) const REFERENCES: [&str; 2] = ["reference-at-once", "reference-one-set"];

/// Builds all components and returns their files, in the order of [`COMPONENTS`], where `spin.toml` expects them.
///
/// # Errors
/// There is no toolchain for them, or they do not compile.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    build_packages(&COMPONENTS)
}

/// Builds the components that ingest is measured by, beside the others.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_references() -> Result<()> {
    build_packages(&REFERENCES).map(drop)
}

fn build_packages(names: &[&str]) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find_or_bring(workspace::root())?;
    let packages = names.iter().flat_map(|name| ["--package", name]);
    let args: Vec<&str> = ["build", "--release"].into_iter().chain(packages).collect();
    workspace::run(&mut toolchain.cargo(&args))?;
    names
        .iter()
        .map(|name| deliver(&toolchain.release_dir(), name))
        .collect()
}

/// Sees that a built component is where `spin.toml` expects it, and prints its size.
fn deliver(built: &Path, name: &str) -> Result<PathBuf> {
    let file = format!("{}.wasm", name.replace('-', "_"));
    let expected = workspace::target_dir().join(TARGET).join("release");
    let (from, to) = (built.join(&file), expected.join(&file));
    if from != to {
        fs::create_dir_all(&expected)?;
        // By a rename, so that nobody who starts the application at this moment reads half a component.
        let part = expected.join(format!("{file}.part"));
        fs::copy(&from, &part).with_context(|| format!("cargo made no {}", from.display()))?;
        fs::rename(&part, &to)?;
    }
    let bytes = fs::metadata(&to)
        .with_context(|| format!("cargo made no {}", to.display()))?
        .len();
    let shown = to.strip_prefix(workspace::root()).unwrap_or(&to);
    println!("{name}: {} KB, {}", bytes.div_ceil(1000), shown.display());
    Ok(to)
}
