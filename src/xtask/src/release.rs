//! A release: all that runs the application without this checkout, in one folder.
//!
//! The manifest of the checkout names files of the build. The released ones name the components beside them, or, where a
//! release lies at an address, that address and the digest that Spin asks for.

use crate::components::{self, ON_P3};
use crate::{template, up, workspace};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What the parts of a release are called, in its list of checksums.
const CHECKSUMS: &str = "checksums.txt";

/// What to make a release of.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder of the release; what is in it is overwritten
    #[arg(long, value_name = "FOLDER", default_value = "dist")]
    out: PathBuf,
    /// Address at which the components will lie, such as that of a release's files: the manifests name them there, each
    /// with its digest
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Folder that gets a template for `spin new`, whose components lie at that address
    #[arg(long, value_name = "FOLDER", requires = "base_url")]
    template: Option<PathBuf>,
}

/// Builds the components and writes a release.
///
/// # Errors
/// It cannot be built or written.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(url) = args.base_url.as_deref().filter(|url| !url.starts_with("https://")) {
        bail!("--base-url is to begin with https://, since Spin fetches components from there: {url}");
    }
    let out = std::path::absolute(&args.out)?;
    let count = make(&out, args.base_url.as_deref(), &components::build()?)?;
    println!("{}: {count} files and {CHECKSUMS}", out.display());
    if let Some(folder) = &args.template {
        template::write(folder, &fs::read_to_string(out.join("spin.toml"))?)?;
        println!("{}: a template for spin new", folder.display());
    }
    Ok(())
}

/// Writes a release of built components; gives how many files it has.
///
/// # Errors
/// A component cannot be read, or a file not written.
pub(crate) fn make(out: &Path, base_url: Option<&str>, built: &[PathBuf]) -> Result<usize> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let manifest = fs::read_to_string(workspace::root().join("spin.toml"))?;
    let mut digests = Vec::new();
    for (name, built) in components::COMPONENTS.iter().zip(built) {
        let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
        write(out, &components::file(name), &bytes, &mut digests)?;
    }
    let base = base_url.map(|url| url.trim_end_matches('/'));
    let on_p3 = released(&components::on_p3(&manifest)?, |file| source(file, base, &digests))?;
    let released = released(&manifest, |file| source(file, base, &digests))?;
    write(out, "spin.toml", released.as_bytes(), &mut digests)?;
    write(out, "spin.http.toml", without_cron(&released).as_bytes(), &mut digests)?;
    write(out, ON_P3, on_p3.as_bytes(), &mut digests)?;
    write(out, "sqlite_key_value.db", &up::empty_database(), &mut digests)?;
    let changes = fs::read_to_string(workspace::root().join("CHANGELOG.md"))?;
    write(out, "NOTES.md", notes(&changes).as_bytes(), &mut digests)?;
    let mut list = String::new();
    for (file, digest) in &digests {
        writeln!(list, "{digest}  {file}")?;
    }
    fs::write(out.join(CHECKSUMS), list)?;
    Ok(digests.len())
}

fn write(out: &Path, file: &str, bytes: &[u8], digests: &mut Vec<(String, String)>) -> Result<()> {
    let path = out.join(file);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    digests.push((file.to_owned(), hex(bytes)));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a released manifest finds a component's file.
fn source(file: &str, base: Option<&str>, digests: &[(String, String)]) -> Option<String> {
    let (_, digest) = digests.iter().find(|(known, _)| known == file)?;
    Some(match base {
        Some(base) => format!("{{ url = \"{base}/{file}\", digest = \"sha256:{digest}\" }}"),
        None => format!("\"{file}\""),
    })
}

/// The manifest as it is released: nothing is built, and components lie elsewhere.
fn released(manifest: &str, source: impl Fn(&str) -> Option<String>) -> Result<String> {
    let (mut released, mut table) = (String::new(), "");
    for line in manifest.lines() {
        if line.starts_with('[') {
            table = line.trim_start_matches('[').trim_end_matches(']');
        }
        let component = table.strip_prefix("component.");
        if component.is_some_and(|component| component.ends_with(".build")) {
            continue;
        }
        // Two components may have one file.
        match line.strip_prefix("source = ").filter(|_| component.is_some()) {
            Some(path) => {
                let (_, file) = path.trim_matches('"').rsplit_once('/').unwrap_or_default();
                let source = source(file).with_context(|| format!("nothing was built that is {path}"))?;
                writeln!(released, "source = {source}")?;
            }
            None => writeln!(released, "{line}")?,
        }
    }
    Ok(format!("{}\n", released.trim_end()))
}

/// The same for platforms that schedule by HTTP.
fn without_cron(manifest: &str) -> String {
    let of_the_schedule = |line: &str| line == "[[trigger.cron]]" || line.starts_with("[component.schedule");
    let (mut kept, mut is_left_out) = (String::new(), false);
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_left_out = of_the_schedule(line);
        }
        if !is_left_out {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// What whoever takes the release has to know.
fn notes(changelog: &str) -> String {
    let changes = changelog.split("\n## ").nth(1).unwrap_or_default();
    let (_, changes) = changes.split_once('\n').unwrap_or_default();
    format!(
        "# akeneo-relay {}\n\n\
         Run it on Spin 3.2 or later with its cron plugin, in this folder:\n\n\
         ```sh\n\
         spin plugins update && spin plugins install trigger-cron --yes\n\
         mkdir -p .spin && cp -n sqlite_key_value.db .spin/\n\
         spin up --from spin.toml --listen 127.0.0.1:3000 --state-dir .spin\n\
         ```\n\n\
         Always give `--state-dir`: without it an application from a registry keeps its store in memory, for each of its\n\
         processes alone, and what is acknowledged is lost. `spin.http.toml` is for platforms that schedule by HTTP,\n\
         `{ON_P3}` for Spin 4.0 and later: its ingest, on WASI 0.3, takes more deliveries a second.\n\
         `{CHECKSUMS}` has the SHA-256 of every file.\n\n\
         ## Stored formats\n\n\
         Keys begin with `r1`; every value has a version `v`. This release reads and writes 1 of all of them, but of the\n\
         record `meta`, of which it reads 1 and 2 and writes 2. A release that writes 1 of `meta` does nothing on a store of\n\
         this one before a person adopts the configured pair.\n\n\
         ## Changes\n{changes}",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> String {
        fs::read_to_string(workspace::root().join("spin.toml")).expect("the manifest")
    }

    #[test]
    fn a_released_manifest_names_each_component_where_it_lies_and_builds_nothing() {
        let manifest = manifest();
        let digests = components::COMPONENTS.map(|name| (components::file(name), "0f".repeat(32)));
        for (base, expected) in [
            (None, "source = \"worker.wasm\"\n".to_owned()),
            (
                Some("https://example.com/v1"),
                format!(
                    "source = {{ url = \"https://example.com/v1/worker.wasm\", digest = \"sha256:{}\" }}\n",
                    "0f".repeat(32)
                ),
            ),
        ] {
            let released = released(&manifest, |file| source(file, base, &digests)).expect("a manifest");
            assert!(released.contains(&expected), "{released}");
            assert_eq!(released.matches("source = ").count(), 5);
            assert_eq!(released.matches(&expected).count(), 2, "the worker, and its schedule");
            for left_out in ["target/", ".build]", "cargo build", "watch = "] {
                assert!(!released.contains(left_out), "{left_out}");
            }
            // All else is as it was.
            let is_kept = |line: &&str| !line.starts_with("source = ") && !line.is_empty();
            let variables = |text: &str| text.lines().filter(is_kept).filter(|line| line.contains("{{ ")).count();
            assert_eq!(variables(&released), variables(&manifest));
        }
        assert!(released(&manifest, |_| None).is_err());
    }

    #[test]
    fn without_a_schedule_all_but_its_trigger_stays() {
        let (manifest, kept) = (manifest(), without_cron(&manifest()));
        assert!(manifest.contains("[[trigger.cron]]") && !kept.contains("cron"));
        assert!(manifest.contains("[component.schedule]") && !kept.contains("[component.schedule"));
        assert_eq!(
            kept.matches("[[trigger.http]]").count(),
            manifest.matches("[[trigger.http]]").count()
        );
        assert_eq!(
            kept.matches("\n[component.").count(),
            manifest.matches("\n[component.").count() - 2
        );
        assert!(kept.contains("[component.ingest]"));
    }

    #[test]
    fn on_wasi_0_3_ingest_is_of_another_file_and_all_else_is_as_it_was() {
        let manifest = manifest();
        let on_p3 = components::on_p3(&manifest).expect("a manifest");
        let differing = manifest.lines().zip(on_p3.lines()).filter(|(one, other)| one != other);
        let differing: Vec<&str> = differing.map(|(_, other)| other).collect();
        assert_eq!(
            differing,
            [
                "source = \"target/wasm32-wasip2/release/ingest_p3.wasm\"",
                "command = \"cargo build --package ingest-p3 --release --target wasm32-wasip2\"",
            ]
        );
        assert_eq!(manifest.lines().count(), on_p3.lines().count());
        assert!(components::on_p3("").is_err());
    }

    #[test]
    fn the_notes_tell_of_the_newest_changes_alone() {
        let notes = notes("# Changelog\n\n## 0.2.0\n\n- new\n\n## 0.1.0\n\n- old\n");
        assert!(notes.contains("- new") && !notes.contains("- old"), "{notes}");
        assert!(notes.contains("--state-dir"));
    }
}
