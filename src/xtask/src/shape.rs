//! What a shape makes of entities: `cargo xtask shape`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::workspace;

/// What to show.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct Args {
    /// File of the shape
    #[arg(long, value_name = "FILE")]
    shape: PathBuf,
    /// File of one entity, as the PIM gives it
    #[arg(value_name = "ENTITY.json", group = "what")]
    entity: Option<PathBuf>,
    /// Sum up a whole catalogue: of the PIM that SPIN_VARIABLE_PIM_URL and the like name, else a simulated one
    #[arg(long, group = "what")]
    catalogue: bool,
}

/// Builds and runs the program that shows it.
///
/// # Errors
/// It does not build. Where the shape makes no sense or the PIM cannot be read, the program ends with a code that says so.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut preview = Command::new(workspace::native_program("preview")?);
    preview.arg("--shape").arg(&args.shape).args(&args.entity);
    if args.catalogue {
        preview.arg("--catalogue");
    }
    workspace::become_program(&mut preview)
}
