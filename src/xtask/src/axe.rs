//! axe-core, which judges how accessible a page is: from npm's registry, by npm, with its checksum pinned here.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress::Step;
use crate::workspace;

const VERSION: &str = "4.10.3";

/// As npm states and verifies it.
const INTEGRITY: &str =
    "sha512-Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg==";

/// The script; fetches it first where it is not there.
///
/// # Errors
/// There is no npm here, it cannot fetch the package, or the package is not the one that is pinned.
pub(crate) fn find_or_bring() -> Result<PathBuf> {
    let folder = workspace::target_dir().join("axe").join(VERSION);
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        bring(&folder).context("no axe-core here")?;
    }
    ensure!(script.is_file(), "npm brought no {}", script.display());
    Ok(script)
}

fn bring(folder: &std::path::Path) -> Result<()> {
    ensure!(workspace::on_path("npm").is_some(), "there is no npm");
    let step = Step::begin("Bringing axe-core");
    fs::create_dir_all(folder)?;
    let wanted = format!("{{\"axe-core\": \"{VERSION}\"}}");
    fs::write(
        folder.join("package.json"),
        format!("{{\"private\": true, \"dependencies\": {wanted}}}"),
    )?;
    // A lock file is how npm is told a checksum.
    let lock = format!(
        "{{\"lockfileVersion\": 3, \"requires\": true, \"packages\": {{\"\": {{\"dependencies\": {wanted}}}, \
         \"node_modules/axe-core\": {{\"version\": \"{VERSION}\", \"integrity\": \"{INTEGRITY}\"}}}}}}"
    );
    fs::write(folder.join("package-lock.json"), lock)?;
    workspace::output(
        Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(folder),
    )?;
    step.end();
    Ok(())
}
