//! What `SECURITY.md` says of tests is so.

/// Every test that the table of attacks names is in the file that it names.
#[test]
fn every_test_that_the_table_of_attacks_names_is_there() {
    let root = crate::workspace::root();
    let document = std::fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md");
    let mut named = 0;
    for row in document.lines().filter(|line| line.starts_with('|')) {
        let mut source: Option<(&str, String)> = None;
        // Every second part stands between backquotes.
        for code in row.split('`').skip(1).step_by(2) {
            if code.ends_with(".rs") {
                let text = std::fs::read_to_string(root.join(code));
                source = Some((code, text.unwrap_or_else(|error| panic!("{code}: {error}"))));
            } else if let Some((file, text)) = &source {
                assert!(text.contains(&format!("fn {code}(")), "{file} has no test `{code}`");
                named += 1;
            }
        }
    }
    assert!(named >= 100, "the table of attacks is found: {named}");
}
