//! That the program behind `cargo xtask bench` measures all that it is to measure; what it finds is not judged.

use std::process::Command;

#[test]
fn every_pair_is_measured() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.args(["--products", "20", "--backlog", "40", "--deliveries", "5"]);
    bench.args(["--answer", "8192", "--document", "8192"]);
    let output = bench.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = told.lines().skip(1).collect();
    let ratios = rows
        .iter()
        .map(|row| row.split_whitespace().last().unwrap().parse::<f64>());
    let ratios: Vec<f64> = ratios.collect::<Result<_, _>>().expect(&told);
    assert_eq!(ratios.len(), 14, "{told}");
    assert!(ratios.iter().all(|ratio| ratio.is_finite() && *ratio >= 0.0), "{told}");
}
