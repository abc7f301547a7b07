//! The page over the administration: one document, its style and script inside it, nothing fetched from elsewhere.
//!
//! It is public, as it holds nothing: the browser asks the administration for everything, with the token that a person
//! types in.

use base64::{Engine, engine::general_purpose::STANDARD};
use config::answer::Answer;
use http::Method;
use sha2::{Digest, Sha256};

const DOCUMENT: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/style.css");
const SCRIPT: &str = concat!(
    include_str!("../page/dom.js"),
    include_str!("../page/api.js"),
    include_str!("../page/charts.js"),
    include_str!("../page/overview.js"),
    include_str!("../page/entities.js"),
    include_str!("../page/subscription.js"),
    include_str!("../page/main.js"),
);

/// Whether a path is the page's.
pub(crate) fn is_at(path: &str) -> bool {
    path.trim_end_matches('/') == "/console"
}

/// The page.
pub(crate) fn answer(method: &Method) -> Answer {
    if method != Method::GET && method != Method::HEAD {
        return Answer::problem(405, "only GET is understood here").with("allow", "GET, HEAD");
    }
    let document = flush(DOCUMENT).replace("{{style}}", &style());
    Answer {
        body: document.replace("{{script}}", &script()).into_bytes(),
        ..Answer::done()
    }
    .with("content-type", "text/html; charset=utf-8")
    .with("content-security-policy", &policy())
    .with("cache-control", "no-cache")
    .with("x-content-type-options", "nosniff")
    .with("referrer-policy", "no-referrer")
    .with("cross-origin-opener-policy", "same-origin")
    .with("permissions-policy", "clipboard-write=(self)")
}

/// A text without what is for whoever reads the source alone: indentation, and lines that are comments or empty.
fn flush(text: &str) -> String {
    let is_comment = |line: &&str| line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/"));
    let lines = text.lines().map(str::trim_start);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !is_comment(line)).collect();
    lines.join("\n")
}

/// The style without the spaces that mean nothing there.
fn style() -> String {
    let of_syntax = [
        ("; ", ";"),
        (": ", ":"),
        (", ", ","),
        (" {", "{"),
        ("{ ", "{"),
        (" }", "}"),
        (";\n", ";"),
        ("}\n", "}"),
    ];
    of_syntax
        .iter()
        .fold(flush(STYLE), |style, (spaced, tight)| style.replace(spaced, tight))
}

/// The script without the spaces around signs that stand in no text of it.
fn script() -> String {
    let signs = ["=>", "===", "!==", "&&", "||", "??", "=", "?", ":"];
    let script = signs
        .iter()
        .fold(flush(SCRIPT), |script, sign| script.replace(&format!(" {sign} "), sign));
    script.replace(") {", "){")
}

/// Only this very style and script, calls to where the page came from, and no way to make markup of text.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash(&script()),
        hash(&style())
    )
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
