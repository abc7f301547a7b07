//! That the program behind `cargo xtask bench` measures all that it is to measure; what it finds is not judged.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// As little as can be measured.
const LITTLE: [&str; 34] = [
    "--on",
    "runtime",
    "--products",
    "20",
    "--backlog",
    "40",
    "--deliveries",
    "5",
    "--seconds",
    "1",
    "--models",
    "1",
    "--slow-models",
    "1",
    "--ingest-seconds",
    "1",
    "--idle-seconds",
    "1",
    "--idle-products",
    "5",
    "--listed-products",
    "400",
    "--forged",
    "1",
    "--attack-seconds",
    "1",
    "--half-open",
    "40",
    "--bodies",
    "2",
    "--answer",
    "8192",
    "--document",
    "8192",
];

/// What it prints, measuring little of this.
fn bench(told: &[&str], file: (&str, &Path)) -> String {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.env("NGINX", std::env::var_os("NGINX").unwrap_or("nginx".into()));
    let output = bench.args(LITTLE).args(told).arg(file.0).arg(file.1).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many rows of each unit are told, each as it is written.
fn units(only: &[&str]) -> BTreeMap<String, usize> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bench.json");
    let told = bench(only, ("--json", &file));
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut units = BTreeMap::new();
    for row in written["rows"].as_array().unwrap() {
        let [first, second, ratio] = ["first", "second", "ratio"].map(|name| row[name].as_f64().unwrap());
        assert!(first >= 0.0 && second > 0.0, "{row}");
        assert!((first / second - ratio).abs() <= ratio * 1e-9, "{row}");
        assert!(told.contains(row["what"].as_str().unwrap()), "{row}: {told}");
        *units.entry(row["unit"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    units
}

fn counts<const N: usize>(units: [(&str, usize); N]) -> BTreeMap<String, usize> {
    units.map(|(unit, count)| (unit.to_owned(), count)).into()
}

#[test]
fn every_drain_is_measured() {
    // Three drains of two worlds, and two counts of the list calls of one of the three.
    assert_eq!(units(&["--only", "drain"]), counts([("s", 3 * 2), ("", 2 * 2)]));
}

#[test]
fn every_other_row_is_measured() {
    let names = [
        "acknowledgement",
        "entity",
        "freshness",
        "ingest",
        "idle",
        "listing",
        "requests",
        "reading",
    ];
    let only = names.map(|name| ["--only", name]).concat();
    // Fourteen pairs, two times and two counts of freshness, fourteen rates and percentiles of ingest, idleness,
    // two ticks, two requests.
    let expected = counts([("ms", 14 + 2 + 14 + 2 + 2), ("", 2), ("1/s", 14), ("%", 1)]);
    assert_eq!(units(&only), expected);
}

#[test]
#[ignore = "needs nginx: `cargo xtask test --full`"]
fn an_attack_is_measured_behind_nginx_and_without_a_proxy() {
    assert_eq!(units(&["--only", "attack"]), counts([("", 2), ("ms", 2), ("MB", 2)]));
}

#[test]
fn a_run_is_shown_beside_an_earlier_one() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bench.json");
    bench(&["--only", "reading"], ("--json", &file));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("an answer", "some answer", 1)).unwrap();
    let told = bench(&["--only", "reading"], ("--compare", &file));
    let beside: Vec<&str> = told
        .lines()
        .skip(1)
        .filter_map(|row| row.split_whitespace().last())
        .collect();
    assert_eq!(beside[0], "-", "nothing is called as it is: {told}");
    let ratios = beside[1..].iter().map(|ratio| ratio.parse::<f64>().expect(&told));
    assert_eq!(ratios.filter(|ratio| *ratio > 0.0).count(), 9, "{told}");
}
