//! The command line of the runtime. It ends at once when it is told to, as Spin does.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use runtime::{Application, Options};
use tokio::net::TcpListener;

/// Runs a Spin application without Spin, for development and tests
#[derive(Parser)]
struct Arguments {
    /// The application's manifest
    #[arg(long, default_value = "spin.toml", value_name = "FILE")]
    manifest: PathBuf,
    /// Where to listen; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The folder for the default store and the logs
    #[arg(long, default_value = ".spin", value_name = "FOLDER")]
    state_dir: PathBuf,
    /// The value of an application variable; may be given several times
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = name_and_value)]
    variables: Vec<(String, String)>,
    /// A runtime configuration with key-value stores of type spin or redis
    #[arg(long, value_name = "FILE")]
    runtime_config_file: Option<PathBuf>,
    /// Do not fire the cron triggers
    #[arg(long)]
    no_cron: bool,
    /// Append a line of JSON for every key-value operation
    #[arg(long, value_name = "FILE")]
    store_log: Option<PathBuf>,
    /// Append a line of JSON for every call of a component: the memory that its instance began with, and by how much it grew
    #[arg(long, value_name = "FILE")]
    memory_log: Option<PathBuf>,
}

fn name_and_value(argument: &str) -> Result<(String, String), String> {
    let (name, value) = argument.split_once('=').ok_or("the form is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let application = Arc::new(Application::load(&Options {
        manifest: arguments.manifest,
        state_dir: arguments.state_dir,
        variables: arguments.variables,
        runtime_config: arguments.runtime_config_file,
        store_log: arguments.store_log,
        memory_log: arguments.memory_log,
    })?);
    let listen = arguments.listen;
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose another address with --listen"))?;
    if !arguments.no_cron {
        runtime::cron::start(&application);
    }
    for (route, component) in application.router.routes() {
        eprintln!("{route} -> {component}");
    }
    println!("listening on http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    runtime::http::serve(application, listener).await
}
