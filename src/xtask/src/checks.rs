//! The tests and the checks: `cargo xtask test` and `cargo xtask check`.

use std::process::Command;

use anyhow::Result;

use crate::{axe, components, demo, deny, packages, real, release, toolchain::Toolchain, up, workspace};

/// In the names of tests that need something brought, and what they are. `cargo test` alone ignores them.
const FULL: [(&str, &str); 7] = [
    ("on_one_redis", "two hosts on one Redis"),
    (
        "behind_apache",
        "PIM and destination behind Apache with PHP-FPM, and behind nginx",
    ),
    ("behind_nginx", "the application behind nginx, as deploy/nginx says it"),
    (
        "behind_caddy",
        "the application behind Caddy, as deploy/Caddyfile says it",
    ),
    ("by_promtool", "metrics and alert rules read by Prometheus' own tool"),
    ("in_the_browser", "the console in a browser"),
    (
        real::TESTS,
        "a real search engine, two shops and a database as destinations",
    ),
];

/// In the names of tests that need a Spin, which the variable SPIN names. `cargo test` alone ignores them.
const ON_SPIN: &str = "on_spin";

/// In the names of tests that take so long that only somebody who names them wants them.
const LONG: &str = "for_eleven_minutes";

/// The tests of ingest, by their modules: they run a second time, on the manifest with ingest on WASI 0.3.
const OF_INGEST: [&str; 11] = [
    "backlog::",
    "damage::",
    "deliveries::",
    "forged::",
    "heads::",
    "hostile::",
    "ingest::",
    "memory::",
    "secrets::",
    "unattended::",
    "wire::",
];

/// The variable that names their manifest to them.
const MANIFEST: &str = "MANIFEST";

/// The variable that tells Rust's test harness how many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

/// How many tests run at once on each core: most of them wait for processes, for upstreams and for each other.
const TESTS_PER_CORE: usize = 6;

/// Which tests to run.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also those that need packages of Debian, npm or PyPI, which are brought where they are missing
    #[arg(long)]
    full: bool,
    /// Only tests whose name holds this
    filter: Option<String>,
}

/// Builds everything and runs the tests.
///
/// # Errors
/// Something does not build, or a test fails.
pub(crate) fn test(args: &Args) -> Result<()> {
    let built = components::build()?;
    components::build_references()?;
    up::runtime()?;
    let release = workspace::target_dir().join("dist");
    release::make(&release, None, &built)?;
    let mut tests = workspace::native("test");
    // No examples of the documentation, of which none is a program.
    tests.arg("--tests");
    tests.env("RELEASE", release);
    if std::env::var_os(THREADS).is_none() {
        let cores = std::thread::available_parallelism()?.get();
        tests.env(THREADS, (cores * TESTS_PER_CORE).to_string());
    }
    // What tests measured is printed, too.
    tests
        .args(args.filter.iter())
        .args(["--", "--include-ignored", "--show-output"]);
    let mut out_of_reach = Vec::new();
    if args.full {
        match deny::find_or_bring() {
            Ok(program) => deny::check(&program)?,
            Err(why) => out_of_reach.push(format!("licences, sources and versions of libraries: {why:#}")),
        }
        bring(&mut tests)?;
        out_of_reach.extend(real::bring(&mut tests)?);
    } else {
        tests.args(FULL.iter().flat_map(|(name, _)| ["--skip", name]));
    }
    if !args.filter.as_ref().is_some_and(|filter| filter.contains(LONG)) {
        tests.args(["--skip", LONG]);
    }
    let spin = std::env::var_os("SPIN");
    if spin.is_none() {
        tests.args(["--skip", ON_SPIN]);
    }
    workspace::run(&mut tests)?;
    if args.filter.is_none() {
        let mut of_ingest = workspace::native("test");
        of_ingest.env(MANIFEST, workspace::target_dir().join(components::ON_P3));
        of_ingest.envs(tests.get_envs().filter_map(|(name, value)| Some((name, value?))));
        workspace::run(of_ingest.args(["--test", "black_box", "--"]).args(OF_INGEST))?;
    }
    if args.full && args.filter.is_none() {
        // The README's first command is to come to its end, too.
        demo::run(&demo::Args::default())?;
    }
    if !args.full {
        let left_out: Vec<&str> = FULL.iter().map(|(_, what)| *what).collect();
        eprintln!("Left out: {} (`--full`)", left_out.join("; "));
    }
    for why in out_of_reach {
        eprintln!("Left out: {why}");
    }
    if spin.is_none() {
        eprintln!("Left out: the application on Spin itself (SPIN=<its program>)");
    }
    Ok(())
}

/// Brings what the [`FULL`] tests need, and tells them where it is.
fn bring(tests: &mut Command) -> Result<()> {
    let bundles = [
        (&packages::REDIS, &["REDIS_SERVER"][..]),
        (&packages::PROMETHEUS, &["PROMTOOL"]),
        (&packages::APACHE, &["APACHE2"]),
        (&packages::PHP, &["PHP_FPM"]),
        (&packages::NGINX, &["NGINX"]),
        (&packages::CADDY, &["CADDY"]),
        (&packages::CHROMIUM, &["CHROMIUM", "CHROMEDRIVER"]),
    ];
    for (bundle, variables) in bundles {
        tests.envs(variables.iter().zip(bundle.find_or_bring()?));
    }
    tests.env("AXE_CORE", axe::find_or_bring()?);
    Ok(())
}

/// Formatting and lints, of the native packages and of the components; licences and sources of libraries.
///
/// # Errors
/// Something is not as it should be.
pub(crate) fn check() -> Result<()> {
    workspace::run(workspace::cargo().args(["fmt", "--all", "--check"]))?;
    let lints = ["--deny", "warnings"];
    workspace::run(workspace::native("clippy").args(["--all-targets", "--"]).args(lints))?;
    let toolchain = Toolchain::find_or_bring(workspace::root())?;
    let packages: Vec<&str> = workspace::FOR_WASM
        .iter()
        .flat_map(|name| ["--package", name])
        .collect();
    workspace::run(&mut toolchain.clippy(&packages, &lints))?;
    match deny::find()? {
        Some(program) => deny::check(&program),
        None => {
            eprintln!(
                "Left out: licences, sources and versions of libraries (`cargo xtask test --full` brings cargo-deny)"
            );
            Ok(())
        }
    }
}
