//! Has a running application look at its own set-up, and tells what it found. `cargo xtask preflight` builds and calls
//! this.

use anyhow::Result;
use clap::Parser;
use serde_json::Value;
use std::process::ExitCode;
use tests::administration::ask;
use tests::ending;

/// Tells what is wrong with the set-up of a running application
#[derive(Parser)]
struct Cli {
    /// The application's origin
    #[arg(long)]
    url: String,
    /// How long a tick under way is waited for, in seconds
    #[arg(long)]
    wait: u64,
    /// Print the application's answer as it is
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    ending::of(run(Cli::parse()).await)
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let path = format!("/admin/check?wait_seconds={}", cli.wait);
    let found = ask(
        &cli.url,
        &path,
        "",
        "looking at variables, store, addresses and the PIM",
    )
    .await?;
    if cli.json {
        println!("{found:#}");
    } else {
        tell(&found);
    }
    Ok(if found["ready"] == true {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn tell(found: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = found["findings"].as_array().cloned().unwrap_or_default();
    for finding in &findings {
        println!(
            "{:7} {}: {}",
            text(&finding["level"]),
            text(&finding["about"]),
            text(&finding["what"])
        );
        println!("        {}", text(&finding["remedy"]));
    }
    if let Some(edition) = found["pim"]["edition"].as_str() {
        println!("the PIM is {edition} {}", text(&found["pim"]["version"]));
    }
    match (found["ready"] == true, findings.len()) {
        (true, 0) => println!("nothing is wrong"),
        (true, _) => println!("nothing has to be mended"),
        (false, _) => println!("not ready: mend what is told as error"),
    }
}
