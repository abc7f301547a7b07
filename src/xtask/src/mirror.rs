//! The Debian mirrors that this machine uses, read from its own apt sources, so that no host is named here.

use std::fs;
use std::path::Path;

/// Addresses of Debian archives in `/etc/apt`, as apt wants them in a source line, the first found first, each once.
/// Empty where the machine has none.
pub(crate) fn debian_mirrors() -> Vec<String> {
    let mut sources = source_files(Path::new("/etc/apt"));
    sources.sort();
    let mut mirrors = Vec::new();
    for file in sources {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let entries = if file.extension().is_some_and(|e| e == "sources") {
            deb822(&text)
        } else {
            one_line(&text)
        };
        for mirror in entries
            .into_iter()
            .filter(Entry::is_debian)
            .flat_map(|entry| entry.uris)
        {
            if !mirrors.contains(&mirror) {
                mirrors.push(mirror);
            }
        }
    }
    mirrors
}

fn source_files(apt: &Path) -> Vec<std::path::PathBuf> {
    let parts = fs::read_dir(apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let named = |file: &std::path::PathBuf| file.extension().is_some_and(|e| e == "sources" || e == "list");
    parts.filter(named).chain([apt.join("sources.list")]).collect()
}

/// One source of apt, as far as it matters here.
#[derive(Debug, Default, PartialEq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: String,
}

impl Entry {
    /// Debian's main archive, not its security updates (which have no testing suite of their own packages), and not a
    /// vendor's repository.
    fn is_debian(&self) -> bool {
        let named = |uri: &String| {
            let last = uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            last == "debian" || last == "debian.list" // The latter is a `mirror+file:` list.
        };
        let security = self.suites.iter().any(|suite| suite.contains("security"));
        let signed = self.signed_by.contains("debian-archive-keyring") || self.uris.iter().any(named);
        signed && !security && self.components.iter().any(|component| component == "main")
    }
}

/// Reads `deb [options] uri suite component...` lines.
fn one_line(text: &str) -> Vec<Entry> {
    text.lines().filter_map(one_line_entry).collect()
}

fn one_line_entry(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="));
    Some(Entry {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.unwrap_or_default().to_owned(),
    })
}

/// Reads stanzas of `Field: value` with continued lines, the format of `*.sources` files.
fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        entries.extend(deb822_entry(stanza));
    }
    entries
}

fn deb822_entry(stanza: &[&str]) -> Option<Entry> {
    let field = |wanted: &str| -> Vec<String> {
        let mut inside = false;
        let mut words = Vec::new();
        for line in stanza {
            let value = match line.split_once(':') {
                _ if line.starts_with([' ', '\t']) => line,
                Some((name, value)) => {
                    inside = name.eq_ignore_ascii_case(wanted);
                    value
                }
                None => continue,
            };
            if inside {
                words.extend(value.split_whitespace().map(str::to_owned));
            }
        }
        words
    };
    let disabled = field("Enabled")
        .first()
        .is_some_and(|value| value.eq_ignore_ascii_case("no"));
    let binary = field("Types").iter().any(|kind| kind == "deb");
    (binary && !disabled).then(|| Entry {
        uris: field("URIs"),
        suites: field("Suites"),
        components: field("Components"),
        signed_by: field("Signed-By").join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_line_sources() {
        let text = "# deb http://commented.test/debian stable main\n\
                    deb-src http://source.test/debian stable main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian/ stable main contrib # mine\n";
        let entries = one_line(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].uris, ["http://mirror.test/debian/"]);
        assert_eq!(entries[0].components, ["main", "contrib"]);
        assert_eq!(entries[0].signed_by, "/k.gpg");
        assert!(entries[0].is_debian());
    }

    #[test]
    fn reads_deb822_sources_with_continued_lines() {
        let text = "Types: deb deb-src\n# a remark\nURIs: http://a.test/debian\n http://b.test/debian\n\
                    Suites: stable stable-updates\nComponents: main\n\n\
                    Types: deb\nEnabled: no\nURIs: http://off.test/debian\nSuites: stable\nComponents: main\n";
        let entries = deb822(text);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].uris, ["http://a.test/debian", "http://b.test/debian"]);
        assert!(entries[0].is_debian());
    }

    #[test]
    fn leaves_out_security_updates_and_vendors() {
        let debian = |line| one_line(line)[0].is_debian();
        assert!(debian(
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://x.test/mirror stable main"
        ));
        assert!(debian("deb mirror+file:/etc/apt/mirrors/debian.list stable main"));
        assert!(!debian("deb http://x.test/debian stable-security main"));
        assert!(!debian("deb http://vendor.test/linux/debian stable stable"));
        assert!(!debian("deb http://vendor.test/apt stable main"));
    }
}
