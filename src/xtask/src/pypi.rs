//! Programs of Python that only tests need: what a list of requirements in the project names, with its digests, in a
//! virtual environment below `target`.
//!
//! pip fetches them from the index that the machine has configured. Only finished packages are taken: nothing is compiled,
//! and no code of a package runs while it is brought.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress::Step;
use crate::workspace;

/// What the shop on Django needs.
const REQUIREMENTS: &str = "tests/black_box/real/django/requirements.txt";

/// The file that is written last.
const COMPLETE: &str = "complete";

/// The Python that knows django-oscar; brings it first where it is not there, or another one is.
///
/// # Errors
/// There is no Python here, pip cannot fetch a package, or one is not the one that is pinned.
pub(crate) fn django_oscar() -> Result<PathBuf> {
    let requirements = workspace::root().join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements).context("no requirements of django-oscar")?;
    let folder = workspace::target_dir().join("pypi/django-oscar");
    let python = folder.join("bin/python");
    let is_complete = || fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|complete| complete == wanted);
    if !is_complete() || !python.exists() {
        bring(&requirements, &folder).context("cannot bring django-oscar")?;
        fs::write(folder.join(COMPLETE), wanted)?;
    }
    Ok(python)
}

fn bring(requirements: &Path, folder: &Path) -> Result<()> {
    ensure!(workspace::on_path("python3").is_some(), "there is no python3");
    let step = Step::begin("Bringing django-oscar");
    workspace::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    workspace::output(
        Command::new(folder.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
            ])
            .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
            .arg(requirements),
    )?;
    step.end();
    Ok(())
}
