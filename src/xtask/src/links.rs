//! What the documents say leads somewhere: links, the README's length, variables, examples of JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::workspace;

/// The most lines that the README has: a stranger reads it in a minute.
const README_MAX: usize = 250;

/// The page that has the table of all variables.
const CONFIGURATION: &str = "docs/configuration.md";

/// The documents that are checked, as paths from the workspace, with their texts.
fn documents() -> BTreeMap<PathBuf, String> {
    let root = workspace::root();
    let mut paths: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"]
        .map(PathBuf::from)
        .into();
    let pages = std::fs::read_dir(root.join("docs")).expect("the folder docs");
    paths.extend(
        pages
            .map(|page| Path::new("docs").join(page.expect("a page of docs").file_name()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    let read = |path: PathBuf| {
        let text =
            std::fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// A fenced block: the word behind its fence, its first line, its text.
struct Block {
    tag: String,
    line: usize,
    text: String,
}

/// A document in two parts: its lines outside of fenced blocks (those inside are empty, so that lines keep their
/// numbers), and these blocks.
fn parts(document: &str) -> (Vec<String>, Vec<Block>) {
    let (mut prose, mut blocks) = (Vec::new(), Vec::new());
    let mut open: Option<Block> = None;
    for (index, line) in document.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, &mut open) {
            (Some(tag), None) => {
                open = Some(Block {
                    tag: tag.trim().to_owned(),
                    line: index + 1,
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {
                prose.push(line.to_owned());
                continue;
            }
        }
        prose.push(String::new());
    }
    assert!(
        open.is_none(),
        "a fenced block is not closed: give it its last line of ```"
    );
    (prose, blocks)
}

/// A line without what stands between backquotes: no link is in there. Code is taken to end on the line on which it
/// begins.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// Where the links of a line lead that are neither to another site nor code: `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let inline = line
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap_or_default());
    let defined = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, target)| target);
    inline
        .chain(defined)
        .map(|target| target.split_whitespace().next().unwrap_or_default())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(str::to_owned)
        .collect()
}

/// The anchors of a document: GitHub's slugs of its headings, and `<a id="...">`.
fn anchors(document: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in parts(document).0 {
        let text = line.trim_start_matches('#');
        if text.len() < line.len() && text.starts_with(' ') {
            let slug = slug(text.trim());
            let numbered = (1..).map(|number| format!("{slug}-{number}"));
            let free = std::iter::once(slug.clone())
                .chain(numbered)
                .find(|slug| !anchors.contains(slug));
            anchors.extend(free);
        }
        let explicit = without_code(&line);
        anchors.extend(
            explicit
                .split("<a id=\"")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())),
        );
    }
    anchors
}

/// What GitHub calls a heading in addresses: in small letters, without punctuation, blanks as hyphens.
fn slug(heading: &str) -> String {
    // Of a link the text counts.
    let mut text = heading.to_owned();
    while let Some((before, rest)) = text.split_once("](") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        text = format!("{before}{after}");
    }
    text.to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// A path without `.` and `..`; none if it leads out of the workspace.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir => plain.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

/// Why a link in `from` leads nowhere, and what to do; none if it leads somewhere.
fn dead(from: &Path, target: &str, documents: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (file, anchor) = target
        .split_once('#')
        .map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        let folder = from.parent().unwrap_or(Path::new(""));
        match plain(&folder.join(file)) {
            Some(path) => path,
            None => return Some("it leads out of the project: link to a file in it, or to a whole address".to_owned()),
        }
    };
    if !documents.contains_key(&path) && !workspace::root().join(&path).exists() {
        return Some(format!(
            "there is no `{}`: mend the path, or link to where the text is now",
            path.display()
        ));
    }
    let anchor = anchor?;
    let Some(document) = documents.get(&path) else {
        return Some(format!(
            "`{}` is none of our documents, so leave `#{anchor}` out",
            path.display()
        ));
    };
    (!anchors(document).contains(anchor)).then(|| {
        format!(
            "`{}` has no heading or `<a id>` of that name: name another one, or give the heading back its name",
            path.display()
        )
    })
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_in_it() {
    let documents = documents();
    let (mut links, mut wrong) = (0, Vec::new());
    for (path, text) in &documents {
        for (index, line) in parts(text).0.iter().enumerate() {
            // Else a link beside it might be taken for code, and be passed over.
            if line.matches('`').count() % 2 == 1 {
                wrong.push(format!(
                    "{}:{}: code goes on in the next line: break the line elsewhere",
                    path.display(),
                    index + 1
                ));
            }
            for target in targets(line) {
                links += 1;
                if let Some(why) = dead(path, &target, &documents) {
                    wrong.push(format!("{}:{}: the link `{target}`: {why}", path.display(), index + 1));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines are to be mended:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(links >= 100, "links are found: {links}");
}

#[test]
fn the_readme_is_read_in_a_minute_and_leads_to_every_page() {
    let documents = documents();
    let readme = &documents[Path::new("README.md")];
    let lines = readme.lines().count();
    assert!(
        lines <= README_MAX,
        "README.md has {lines} lines, {README_MAX} at most: move text to the page of docs that answers its question"
    );
    for (page, text) in documents.iter().filter(|(path, _)| path.starts_with("docs")) {
        let page = page.to_str().expect("a name in UTF-8");
        assert!(
            readme.contains(&format!("]({page})")),
            "README.md does not link to {page}: add it to the table below `Read on`"
        );
        assert!(
            !parts(text).1.is_empty(),
            "{page} has no example: add one that can be followed, in a fenced block"
        );
    }
}

#[test]
fn every_ready_shape_is_in_the_readmes_table() {
    let readme = &documents()[Path::new("README.md")];
    for file in std::fs::read_dir(workspace::root().join("shapes")).expect("the folder shapes") {
        let name = file.expect("a shape").file_name();
        let link = format!("](shapes/{})", name.to_str().expect("a name in UTF-8"));
        assert!(
            readme.contains(&link),
            "README.md does not list `shapes/{}`: add a row to its table of systems",
            name.display()
        );
    }
}

#[test]
fn the_table_of_variables_has_all_that_the_manifest_declares() {
    let manifest = std::fs::read_to_string(workspace::root().join("spin.toml")).expect("spin.toml");
    let declared: BTreeSet<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[variables]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .collect();
    assert!(declared.len() >= 30, "the variables are found: {declared:?}");
    let documents = documents();
    // The variables stand in the first column, each between backquotes.
    let told: BTreeSet<&str> = documents[Path::new(CONFIGURATION)]
        .lines()
        .skip_while(|line| *line != "## Variables")
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix('|')?.split('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    let missing: Vec<_> = declared.difference(&told).collect();
    assert!(
        missing.is_empty(),
        "{CONFIGURATION} does not tell of {missing:?}: add a row for each to the table below `Variables`"
    );
    let gone: Vec<_> = told.difference(&declared).collect();
    assert!(
        gone.is_empty(),
        "spin.toml does not declare {gone:?}: take the rows out of {CONFIGURATION}, or declare them"
    );
}

#[test]
fn every_example_of_json_is_json() {
    let mut examples = 0;
    for (path, text) in documents() {
        for block in parts(&text).1.iter().filter(|block| block.tag == "json") {
            examples += 1;
            if let Err(error) = serde_json::from_str::<serde_json::Value>(&block.text) {
                panic!(
                    "{}:{}: the block is no JSON ({error}): mend it, or give a block that is not meant to be read as JSON another word behind its fence",
                    path.display(),
                    block.line
                );
            }
        }
    }
    assert!(examples >= 4, "examples are found: {examples}");
}

#[test]
fn headings_are_called_as_github_calls_them() {
    assert_eq!(
        slug("What `find` gives: ids, and an E-Tag_2"),
        "what-find-gives-ids-and-an-e-tag_2"
    );
    assert_eq!(slug("See [the page](docs/page.md), too"), "see-the-page-too");
    let document =
        "# Login\n## Login\n```sh\n# no heading\n```\n#none\ntext <a id=\"here\"></a> and `<a id=\"code\">`\n";
    assert_eq!(
        anchors(document),
        ["here", "login", "login-1"].map(str::to_owned).into()
    );
}

#[test]
fn what_is_no_link_is_passed_over_and_a_dead_one_is_told() {
    let line = "[a](b.md#c), `[d](e.md)`, [f](https://g.example/h), ![i](j.png \"k\"), [`l`](m.rs)";
    assert_eq!(targets(line), ["b.md#c", "j.png", "m.rs"]);
    assert_eq!(targets("[n]: o.md"), ["o.md"]);
    let page = PathBuf::from("docs/page.md");
    let documents = BTreeMap::from([
        (page.clone(), "# Here".to_owned()),
        (PathBuf::from("README.md"), "# There".to_owned()),
    ]);
    for good in ["#here", "../README.md#there", "../shapes", "../spin.toml"] {
        assert_eq!(dead(&page, good, &documents), None, "{good}");
    }
    for bad in [
        "#there",
        "README.md",
        "../README.md#here",
        "../../README.md",
        "/README.md",
        "../spin.toml#L1",
    ] {
        assert!(dead(&page, bad, &documents).is_some(), "{bad}");
    }
}
