//! The main job from end to end: `cargo xtask demo`.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::{components, up, workspace};

const PRODUCTS: usize = 1000;

const DELIVERIES: usize = 2000;

/// What the demonstration is to do.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Products in the simulated PIM
    #[arg(long, default_value_t = PRODUCTS)]
    products: usize,
    /// Deliveries to send, at least
    #[arg(long, default_value_t = DELIVERIES)]
    deliveries: usize,
    /// Stay up afterwards, with a console and faults to play with, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Address and port of the application [default: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Default for Args {
    fn default() -> Self {
        Args {
            products: PRODUCTS,
            deliveries: DELIVERIES,
            keep: false,
            listen: None,
        }
    }
}

/// Builds everything, then lets the application run between a simulated PIM and destination.
///
/// # Errors
/// Something does not build or start, or the destination does not become equal to the PIM.
pub(crate) fn run(args: &Args) -> Result<()> {
    components::build()?;
    let program = workspace::native_program("demo")?;
    // Anew each time: the PIM is another one, too.
    let state_dir = workspace::target_dir().join("demo");
    if state_dir.exists() {
        fs::remove_dir_all(&state_dir)?;
    }
    let listen = match &args.listen {
        Some(address) => address.clone(),
        None => up::free_address()?,
    };
    let application = up::command(&up::Args {
        listen: Some(listen.clone()),
        state_dir: Some(state_dir.clone()),
        ..up::Args::default()
    })?;
    let mut demo = Command::new(program);
    demo.args(["--products", &args.products.to_string()])
        .args(["--deliveries", &args.deliveries.to_string()])
        .args(["--listen", &listen])
        .arg("--state-dir")
        .arg(&state_dir);
    if args.keep {
        demo.arg("--keep");
    }
    demo.arg("--")
        .arg(application.get_program())
        .args(application.get_args());
    workspace::become_program(&mut demo)
}
