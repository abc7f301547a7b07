//! How the programs end that `cargo xtask` starts.

use anyhow::Result;
use std::process::ExitCode;

/// The code that a program ends with. What kept it from its work is told in one line, with all that led to it.
pub fn of(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
