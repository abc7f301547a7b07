//! Has a running application look at its own set-up, and tells what it found. `cargo xtask preflight` builds and calls
//! this.

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use http::Method;
use indicatif::ProgressBar;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;
use tests::client::{bearer, request};

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

/// The variable that has the administration's token.
const TOKEN: &str = "SPIN_VARIABLE_ADMIN_TOKEN";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let token = std::env::var(TOKEN).with_context(|| format!("set {TOKEN} to the administration's token"))?;
    let progress = ProgressBar::new_spinner().with_message("looking at variables, store, addresses and the PIM");
    progress.enable_steady_tick(Duration::from_millis(100));
    let found = ask(&cli, &token).await;
    progress.finish_and_clear();
    let found = found?;
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

async fn ask(cli: &Cli, token: &str) -> Result<Value> {
    let origin = cli.url.trim_end_matches('/');
    ensure!(
        origin.starts_with("http://"),
        "only http:// is spoken here: for an address with TLS use curl -X POST -H 'Authorization: Bearer ...' {origin}/admin/check"
    );
    let url = format!("{origin}/admin/check?wait_seconds={}", cli.wait);
    let answer = request(Method::POST, &url, &[bearer(token.trim())], "").await;
    let answer = answer.with_context(|| format!("nobody answers at {origin}: is the application running?"))?;
    let document = answer.json();
    match answer.status.as_u16() {
        200 => Ok(document),
        status => bail!(
            "it answers {status}: {}",
            document["detail"].as_str().unwrap_or("no more is said")
        ),
    }
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
