//! What was found, and what to do about it.

use serde_json::{Value, json};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The relay cannot do its work, or will lose its deliveries.
    Error,
    /// Something may be meant so, and is wrong more often than not.
    Warning,
    /// Something was not looked at, or is left to its default, and that is all right.
    Note,
}

impl Level {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is about: a variable by its name, or `store`, `pim`, `rights`, `clock`, `shape`, `destination`, `address`.
    pub about: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What to do, in a sentence.
    pub remedy: String,
}

/// All that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, about: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding {
            level,
            about: about.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Something that has to be mended.
    pub fn error(&mut self, about: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Error, about, what, remedy);
    }

    /// Something that is wrong more often than not.
    pub fn warning(&mut self, about: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Warning, about, what, remedy);
    }

    /// Something that whoever sets up may want to know.
    pub fn note(&mut self, about: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Note, about, what, remedy);
    }

    /// Every finding.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// Whether nothing has to be mended.
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|finding| finding.level != Level::Error)
    }

    /// The findings as a document, the worst first.
    pub fn document(&self) -> Value {
        let mut findings: Vec<&Finding> = self.0.iter().collect();
        findings.sort_by_key(|finding| finding.level);
        let told = findings.into_iter().map(|finding| {
            json!({
                "level": finding.level.name(),
                "about": finding.about,
                "what": finding.what,
                "remedy": finding.remedy,
            })
        });
        told.collect()
    }
}
