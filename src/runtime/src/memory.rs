//! How much memory calls take, for tests that bound it.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use wasmtime::ResourceLimiter;

use crate::logs::Lines;

/// Where it is written down how much memory the instance of every call had, once the call is over.
#[derive(Debug, Default)]
pub struct MemoryLog(Lines);

impl MemoryLog {
    /// Appends to a file, or keeps no log.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(path: Option<&Path>) -> Result<Self> {
        Ok(Self(Lines::new(path)?))
    }

    /// Writes a line of JSON for a call.
    pub fn record(&self, component: &str, memory: &Memory) {
        let Memory { first, grown } = memory;
        self.0
            .write(|| json!({ "component": component, "first": first, "grown": grown }));
    }
}

/// The memory of one instance, in bytes. WebAssembly gives none back, so that what it has at its end is the most that it
/// ever had. It is only watched: nothing bounds it here.
#[derive(Debug, Default)]
pub struct Memory {
    /// What it begins with.
    first: usize,
    /// What came to that.
    grown: usize,
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // A memory is made by growing out of nothing.
        match current {
            0 => self.first += desired,
            current => self.grown += desired - current,
        }
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_instance_begins_with_is_told_apart_from_what_it_grows_by() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = MemoryLog::new(Some(&path)).expect("a log");
        let mut memory = Memory::default();
        for (current, desired) in [(0, 65_536), (65_536, 131_072), (131_072, 327_680)] {
            assert!(memory.memory_growing(current, desired, None).expect("is asked"));
        }
        log.record("ingest", &memory);
        let text = std::fs::read_to_string(path).expect("the log");
        let line: serde_json::Value = text.parse().expect("JSON");
        assert_eq!(
            line,
            json!({ "component": "ingest", "first": 65_536, "grown": 262_144 })
        );
    }
}
