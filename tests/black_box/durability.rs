//! What a kill leaves, and what two applications on one store see of each other.

use simulator::catalogue::{Action, Catalogue};
use tests::application::Application;
use tests::world::{World, deliver_all, platform_deliveries};

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_processed_after_it() {
    let world = World::start(Catalogue::generate(40, 0, 7)).await.unwrap();
    let application = Application::start(world.setup()).await.unwrap();
    let changes = world.touch_all().unwrap();
    deliver_all(&application, &platform_deliveries(&changes, 1))
        .await
        .unwrap();
    let application = application.kill_and_restart().await.unwrap();
    application.tick_until_idle().await.unwrap();
    assert_eq!(world.differences(), []);
}

#[tokio::test]
async fn two_instances_on_one_store_do_not_see_each_other() {
    let (one, other) = (
        World::start(Catalogue::generate(10, 0, 7)).await.unwrap(),
        World::start(Catalogue::generate(10, 0, 8)).await.unwrap(),
    );
    let first = Application::start(one.setup()).await.unwrap();
    let second = Application::start_on(first.state(), other.setup().with("instance", "second"))
        .await
        .unwrap();
    for (world, application) in [(&one, &first), (&other, &second)] {
        let changes: Vec<_> = world
            .products()
            .iter()
            .flat_map(|product| world.edit(product, Action::Touch).unwrap())
            .collect();
        deliver_all(application, &platform_deliveries(&changes, 1))
            .await
            .unwrap();
    }
    first.tick_until_idle().await.unwrap();
    assert_eq!(one.differences(), []);
    assert_eq!(other.pushes("PUT"), 0, "its own worker has not run yet");
    second.tick_until_idle().await.unwrap();
    assert_eq!(
        (other.differences(), one.pushes("PUT"), other.pushes("PUT")),
        (vec![], 10, 10)
    );
}
