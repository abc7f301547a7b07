//! Programs of npm that only tests need: what a lock file in the project names, with its checksums, below `target`.
//!
//! npm fetches them from the registry that the machine has configured. No script of a package runs, and what is optional
//! stays away, so that nothing is compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::progress::Step;
use crate::workspace;

/// Packages that come together.
pub(crate) struct Set {
    /// What it is called while it is brought.
    name: &'static str,
    /// The folder of its `package.json` and `package-lock.json`; the one below `target` is called as its last part.
    locked: &'static str,
    /// What of it is told: a place in the folder that it is brought to.
    told: &'static str,
}

/// A shop that is spoken to by GraphQL.
pub(crate) const VENDURE: Set = Set {
    name: "Vendure",
    locked: "tests/black_box/real/vendure",
    told: "node_modules",
};

/// A database that speaks CouchDB's protocol.
pub(crate) const POUCHDB: Set = Set {
    name: "PouchDB Server",
    locked: "tests/black_box/real/pouchdb",
    told: "node_modules/pouchdb-server/bin/pouchdb-server",
};

/// What a receiver of deliveries in Node.js is made of.
pub(crate) const RECEIVER: Set = Set {
    name: "Express and BullMQ",
    locked: "tests/src/bench/receiver",
    told: "node_modules",
};

/// The file that says what is wanted, and then what is there.
const LOCK: &str = "package-lock.json";

/// The file that is written last.
const COMPLETE: &str = "complete";

impl Set {
    /// Where it is; brings it first where it is not there, or another one is.
    ///
    /// # Errors
    /// There is no npm or Node.js here, npm cannot fetch a package, or one is not the one that is pinned.
    pub(crate) fn find_or_bring(&self) -> Result<PathBuf> {
        let locked = workspace::root().join(self.locked);
        let lock = fs::read_to_string(locked.join(LOCK)).with_context(|| format!("no {LOCK} of {}", self.name))?;
        let name = locked.file_name().unwrap_or_default();
        let folder = workspace::target_dir().join("npm").join(name);
        if !fs::read_to_string(folder.join(COMPLETE)).is_ok_and(|complete| complete == lock) {
            self.bring(&locked, &folder)
                .with_context(|| format!("cannot bring {}", self.name))?;
            fs::write(folder.join(COMPLETE), lock)?;
        }
        let told = folder.join(self.told);
        ensure!(told.exists(), "npm brought no {}", told.display());
        Ok(told)
    }

    fn bring(&self, locked: &Path, folder: &Path) -> Result<()> {
        for program in ["node", "npm"] {
            ensure!(workspace::on_path(program).is_some(), "there is no {program}");
        }
        let step = Step::begin(format!("Bringing {}", self.name));
        fs::create_dir_all(folder)?;
        fs::remove_file(folder.join(COMPLETE)).ok();
        for file in ["package.json", LOCK] {
            fs::copy(locked.join(file), folder.join(file))?;
        }
        workspace::output(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"])
                .current_dir(folder),
        )?;
        step.end();
        Ok(())
    }
}
