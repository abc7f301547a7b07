//! Programs of Python that only tests need: what a list of requirements in the project names, with its digests, in a
//! virtual environment below `target`.
//!
//! pip fetches them from the index that the machine has configured, and takes finished packages only, but for those that
//! there are only as source. Nothing is compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress::Step;
use crate::workspace;

/// What the shop on Django needs, in the order in which it is brought: what is finished, and what is packed by that.
const LISTS: [(&str, &str); 2] = [
    ("requirements.txt", "--only-binary=:all:"),
    ("from-source.txt", "--no-build-isolation"),
];

/// Where the lists are.
const FOLDER: &str = "tests/black_box/real/django";

/// The file that is written last.
const COMPLETE: &str = "complete";

/// The Python that knows django-oscar; brings it first where it is not there, or another one is.
///
/// # Errors
/// There is no Python here, pip cannot fetch a package, or one is not the one that is pinned.
pub(crate) fn django_oscar() -> Result<PathBuf> {
    let lists = LISTS.map(|(list, how)| (workspace::root().join(FOLDER).join(list), how));
    let texts: Result<Vec<String>, _> = lists.iter().map(|(list, _)| fs::read_to_string(list)).collect();
    let wanted = texts.context("no requirements of django-oscar")?.concat();
    let folder = workspace::target_dir().join("pypi/django-oscar");
    let python = folder.join("bin/python");
    let is_complete = fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|complete| complete == wanted);
    if !is_complete || !python.exists() {
        bring(&lists, &folder, &python).context("cannot bring django-oscar")?;
        fs::write(folder.join(COMPLETE), wanted)?;
    }
    Ok(python)
}

fn bring(lists: &[(PathBuf, &str)], folder: &Path, python: &Path) -> Result<()> {
    ensure!(workspace::on_path("python3").is_some(), "there is no python3");
    let step = Step::begin("Bringing django-oscar");
    workspace::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    for (list, how) in lists {
        workspace::output(
            Command::new(python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-deps",
                ])
                .args(["--require-hashes", how, "--requirement"])
                .arg(list),
        )?;
    }
    step.end();
    Ok(())
}
