//! Akeneo's own example payloads, read where they lie beside the project; never copied into it.

use crate::application::root;
use std::path::PathBuf;

/// The folder of the payloads, if it is there; says so if it is not.
pub fn folder(name: &str) -> Option<PathBuf> {
    let folder = root().parent()?.join("shared/akeneo/fixtures").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "no {} here: only payloads of the project's own are tested",
        folder.display()
    );
    None
}

/// Every payload of a folder, by its file's name.
pub fn payloads(name: &str) -> Vec<(String, Vec<u8>)> {
    let Some(folder) = folder(name) else { return Vec::new() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut payloads: Vec<(String, Vec<u8>)> = entries
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, std::fs::read(entry.path()).ok()?)))
        .collect();
    payloads.sort();
    payloads
}
