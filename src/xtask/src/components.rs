//! The WebAssembly components of the application.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::toolchain::{TARGET, Toolchain};
use crate::workspace;

/// The packages that `spin.toml` names as components, and `ingest-p3`, which another manifest has in the place of `ingest`.
pub(crate) const COMPONENTS: [&str; 5] = ["ingest", "ingest-p3", "worker", "console", "setup"];

/// What the manifest is called that has ingest on WASI 0.3, in a release and below `target`.
pub(crate) const ON_P3: &str = "spin.wasi-0.3.toml";

/// The packages that ingest is measured by, which are never deployed.
pub(crate) const REFERENCES: [&str; 3] = ["reference-at-once", "reference-one-set", "reference-one-set-p3"];

/// Builds all components and returns their files, in the order of [`COMPONENTS`], where `spin.toml` expects them. The
/// manifest with ingest on WASI 0.3 is written, too.
///
/// # Errors
/// There is no toolchain for them, or they do not compile.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    let built = build_packages(&COMPONENTS)?;
    let manifest = fs::read_to_string(workspace::root().join("spin.toml"))?;
    // It lies below the folder from which `spin.toml` finds the files.
    let manifest = on_p3(&manifest)?.replace("source = \"target/", "source = \"");
    fs::write(workspace::target_dir().join(ON_P3), manifest)?;
    Ok(built)
}

/// The manifest with ingest on WASI 0.3.
///
/// # Errors
/// It names no ingest.
pub(crate) fn on_p3(manifest: &str) -> Result<String> {
    let [ours, theirs] = ["ingest", "ingest-p3"].map(|name| format!("/{}\"\n", file(name)));
    ensure!(
        manifest.matches(&ours).count() == 1,
        "spin.toml is to name {} once",
        file("ingest")
    );
    let build = ["ingest", "ingest-p3"].map(|name| format!("--package {name} "));
    Ok(manifest.replace(&ours, &theirs).replace(&build[0], &build[1]))
}

/// The file of a component.
pub(crate) fn file(name: &str) -> String {
    format!("{}.wasm", name.replace('-', "_"))
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
    let file = file(name);
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
