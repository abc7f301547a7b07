//! Writes what the fuzzer's targets begin with into a folder, a folder for each target: `cargo xtask fuzz`.

use model::entity::digest;
use std::path::PathBuf;
use tests::corpus;

fn main() -> anyhow::Result<()> {
    let into = std::env::args_os().nth(1).map(PathBuf::from);
    let into = anyhow::Context::context(into, "seeds FOLDER")?;
    for (target, _) in targets::TARGETS {
        let folder = into.join(target);
        std::fs::create_dir_all(&folder)?;
        for seed in corpus::of(target) {
            std::fs::write(folder.join(digest(&seed)), seed)?;
        }
    }
    Ok(())
}
