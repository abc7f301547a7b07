//! The administration of a running application, asked by the programs that `cargo xtask` starts.

use crate::client::{bearer, request};
use anyhow::{Context, Result, bail, ensure};
use http::Method;
use indicatif::ProgressBar;
use serde_json::Value;
use std::time::Duration;

/// The variable of the environment that has the administration's token.
const TOKEN: &str = "SPIN_VARIABLE_ADMIN_TOKEN";

/// Posts to a path of an application at an origin, and shows meanwhile what is waited for.
///
/// # Errors
/// The token is not set, nobody answers, or the answer is no success.
pub async fn ask(origin: &str, path: &str, body: &str, shown: &'static str) -> Result<Value> {
    let token = std::env::var(TOKEN).ok();
    let token = token.with_context(|| format!("set {TOKEN} to the administration's token"))?;
    let origin = origin.trim_end_matches('/');
    let has_scheme = ["http://", "https://"].iter().any(|scheme| origin.starts_with(scheme));
    ensure!(has_scheme, "`{origin}` is no origin: begin it with http:// or https://");
    let progress = ProgressBar::new_spinner().with_message(shown);
    progress.enable_steady_tick(Duration::from_millis(100));
    let answer = request(
        Method::POST,
        &format!("{origin}{path}"),
        &[bearer(token.trim())],
        body.to_owned(),
    )
    .await;
    progress.finish_and_clear();
    let answer = answer.with_context(|| {
        format!(
            "nobody answers at {origin}: is the application running, and its certificate one that everybody trusts?"
        )
    })?;
    let document = answer.json();
    match answer.status.as_u16() {
        200 => Ok(document),
        status => bail!(
            "it answers {status}: {}",
            document["detail"].as_str().unwrap_or("no more is said")
        ),
    }
}
