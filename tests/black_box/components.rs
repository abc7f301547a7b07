//! What each component can ask of its host: what it imports. Whatever it does not import it cannot reach, whichever fault
//! it has: no component imports files or sockets, and only two of them make requests.

use std::collections::BTreeSet;
use tests::application::{component, root};
use wasmparser::{Parser, Payload};

/// What every component imports: its answers, variables, the store and clocks, and what the standard library wants of a
/// program of the command line, for which hosts give the components nothing but their logs.
const ALL: [&str; 20] = [
    "fermyon:spin/variables",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:keyvalue/batch",
    "wasi:keyvalue/store",
    "wasi:random/insecure-seed",
];

/// What only some import.
const FURTHER: [(&str, &[&str]); 4] = [
    ("ingest", &[]),
    (
        "worker",
        &[
            "error",
            "fermyon:spin-cron/cron-types",
            "metadata",
            "wasi:http/outgoing-handler",
            "wasi:random/random",
        ],
    ),
    ("console", &["wasi:random/random"]),
    ("setup", &["wasi:http/outgoing-handler", "wasi:random/random"]),
];

/// What ingest on WASI 0.3 imports in the place of the variables' interface.
const ON_P3: (&str, &str, [&str; 4]) = (
    "ingest_p3",
    "fermyon:spin/variables",
    [
        "spin:key-value/key-value",
        "wasi:cli/types",
        "wasi:clocks/types",
        "wasi:config/store",
    ],
);

/// The interfaces that a component imports, without their versions.
fn imports(name: &str) -> BTreeSet<String> {
    let bytes = std::fs::read(component(name)).unwrap();
    let (mut imports, mut depth) = (BTreeSet::new(), 0);
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ComponentSection { .. } | Payload::ModuleSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 0 => {
                let names = section.into_iter().map(|import| import.unwrap().name.0);
                imports.extend(names.map(|name| name.split('@').next().unwrap().to_owned()));
            }
            _ => {}
        }
    }
    imports
}

/// Where each component may send requests, by the manifest.
#[test]
fn a_component_reaches_the_hosts_that_it_needs_and_no_others() {
    let manifest = std::fs::read_to_string(root().join("spin.toml")).unwrap();
    for (name, hosts) in [
        ("ingest", &[][..]),
        ("worker", &["pim_url", "destination_url", "login_url", "alert_url"]),
        ("schedule", &["pim_url", "destination_url", "login_url", "alert_url"]),
        ("console", &[]),
        (
            "setup",
            &[
                "pim_url",
                "destination_url",
                "login_url",
                "public_url",
                "event_platform_url",
            ],
        ),
    ] {
        let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{{{{ {host} }}}}\"")).collect();
        let line = format!("allowed_outbound_hosts = [{}]", hosts.join(", "));
        let component = manifest.split(&format!("[component.{name}]\n")).nth(1).unwrap();
        let component = component.split("\n[component.").next().unwrap_or_default();
        let allowed: Vec<&str> = component
            .lines()
            .filter(|line| line.starts_with("allowed_outbound_hosts"))
            .collect();
        assert_eq!(allowed, [line], "{name}");
    }
}

/// The lines of a table of the manifest.
fn table<'a>(manifest: &'a str, name: &str) -> BTreeSet<&'a str> {
    let lines = manifest.split(&format!("[{name}]\n")).nth(1).unwrap().lines();
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter(|line| line.contains(" = ")).collect()
}

/// By the schedule it is the worker all the same, but that nobody asks it for anything, so that it knows no token.
#[test]
fn the_schedule_is_the_worker_without_the_tokens_that_let_people_in() {
    let manifest = std::fs::read_to_string(root().join("spin.toml")).unwrap();
    let [worker, schedule] =
        ["worker", "schedule"].map(|name| table(&manifest, &format!("component.{name}.variables")));
    let tokens =
        ["admin_token", "admin_token_previous", "tick_key"].map(|name| format!("{name} = \"{{{{ {name} }}}}\""));
    let tokens: BTreeSet<&str> = tokens.iter().map(String::as_str).collect();
    assert_eq!(worker.difference(&schedule).copied().collect::<BTreeSet<_>>(), tokens);
    assert!(schedule.is_subset(&worker));
    let [worker, schedule] = ["worker", "schedule"].map(|name| {
        let mut lines = table(&manifest, &format!("component.{name}"));
        lines.retain(|line| !line.starts_with("description"));
        lines
    });
    assert_eq!(worker, schedule);
}

#[test]
fn a_component_imports_what_it_needs_and_nothing_else() {
    for (name, further) in FURTHER {
        let expected: BTreeSet<String> = ALL.iter().chain(further).map(|name| (*name).to_owned()).collect();
        assert_eq!(imports(name), expected, "{name}");
    }
    let (name, without, further) = ON_P3;
    let others = ALL.iter().filter(|name| **name != without);
    let expected: BTreeSet<String> = others.chain(&further).map(|name| (*name).to_owned()).collect();
    assert_eq!(imports(name), expected, "{name}");
}
