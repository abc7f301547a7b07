//! What `cargo xtask release` makes runs by itself, in whatever folder it is unpacked to.

use simulator::catalogue::Catalogue;
use simulator::destination::sha256;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tests::application::{Application, Setup};
use tests::world::World;

/// The release that `cargo xtask test` has made, unpacked somewhere else.
fn unpacked() -> TempDir {
    let made = PathBuf::from(std::env::var_os("RELEASE").expect("run this by `cargo xtask test`"));
    let folder = TempDir::new().unwrap();
    for file in std::fs::read_dir(made).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

#[tokio::test]
#[ignore = "needs a release: `cargo xtask test`"]
async fn a_release_is_as_its_checksums_say_and_runs_without_the_checkout() {
    let folder = unpacked();
    let list = std::fs::read_to_string(folder.path().join("checksums.txt")).unwrap();
    let mut checked = 0;
    for line in list.lines() {
        let (digest, file) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        assert_eq!(sha256(&bytes), digest, "{file}");
        checked += 1;
    }
    assert_eq!(
        checked,
        std::fs::read_dir(folder.path()).unwrap().count() - 1,
        "all but the list itself"
    );

    let world = World::start(Catalogue::generate(5, 1, 3)).await.unwrap();
    for (manifest, cron) in [("spin.toml", true), ("spin.http.toml", false)] {
        let state = Arc::new(TempDir::new().unwrap());
        let empty = folder.path().join("sqlite_key_value.db");
        std::fs::copy(empty, state.path().join("sqlite_key_value.db")).unwrap();
        let setup = Setup {
            manifest: Some(folder.path().join(manifest)),
            cron,
            ..world.setup()
        };
        world.destination.with(|destination| destination.state.clear());
        let application = Application::start_on(state, setup).await.unwrap();
        world.touch(&application, &world.products(), 1).await.unwrap();
        world.touch(&application, &world.models(), 2).await.unwrap();
        application.until(|| world.differences().is_empty()).await.unwrap();
    }
}
