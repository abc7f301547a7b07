//! The real systems that tests have as destinations, from the registries of Debian, npm and PyPI.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{npm, packages, pypi};

/// In the names of the tests that need one of them.
pub(crate) const TESTS: &str = "real::";

/// A system: in the names of its tests, the variable that tells where it is, and what brings it.
type System = (&'static str, &'static str, fn() -> Result<PathBuf>);

const SYSTEMS: [System; 4] = [
    ("real::groonga", "GROONGA", groonga),
    ("real::vendure", "VENDURE_MODULES", || npm::VENDURE.find_or_bring()),
    ("real::pouchdb", "POUCHDB_SERVER", || npm::POUCHDB.find_or_bring()),
    ("real::django_oscar", "DJANGO_OSCAR", pypi::django_oscar),
];

/// What messages hold that say that a registry cannot be reached from here: of npm, pip and apt. That one of
/// these is not there is a mistake.
const OUT_OF_REACH: [&str; 17] = [
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENOTFOUND",
    "ETIMEDOUT",
    "NewConnectionError",
    "ConnectTimeoutError",
    "ProxyError",
    "Failed to establish a new connection",
    "Temporary failure in name resolution",
    "Could not connect",
    "Could not resolve host",
    "Could not resolve '",
    "Failed to fetch",
    "Unable to locate package",
];

/// Brings the systems, and tells the tests where they are. Those whose registry is out of reach have their tests left out;
/// gives why.
///
/// # Errors
/// A registry can be reached, and what it gives is not right.
pub(crate) fn bring(tests: &mut Command) -> Result<Vec<String>> {
    let mut left_out = Vec::new();
    for (name, variable, bring) in SYSTEMS {
        match bring() {
            Ok(path) => {
                tests.env(variable, path);
            }
            Err(error) => {
                let message = format!("{error:#}");
                if !is_out_of_reach(&message) {
                    return Err(error);
                }
                tests.args(["--skip", name]);
                let why = message.lines().next().unwrap_or_default();
                left_out.push(format!("{name}, whose registry is out of reach: {why}"));
            }
        }
    }
    Ok(left_out)
}

fn groonga() -> Result<PathBuf> {
    let programs = packages::GROONGA.find_or_bring()?;
    programs.into_iter().next().context("the packages have no groonga")
}

/// Whether a message says that a registry cannot be reached from here.
pub(crate) fn is_out_of_reach(message: &str) -> bool {
    OUT_OF_REACH.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_out_of_reach_is_told_from_a_wrong_package() {
        for (message, expected) in [
            ("npm error code ENOTFOUND\nnpm error syscall getaddrinfo", true),
            ("E: Unable to locate package groonga-bin", true),
            (
                "Err:1 http://registry.example Could not resolve 'registry.example'",
                true,
            ),
            (
                "npm error code ERESOLVE\nnpm error Could not resolve dependency:",
                false,
            ),
            ("cannot bring Vendure: there is no npm", false),
            (
                "npm error code EINTEGRITY\nnpm error sha512-a integrity checksum failed",
                false,
            ),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
                false,
            ),
        ] {
            assert_eq!(is_out_of_reach(message), expected, "{message}");
        }
    }
}
