//! The high-water mark.

use simulator::catalogue::Catalogue;
use tests::application::Application;
use tests::world::{World, deliver_all, legacy_deliveries, platform_deliveries};

#[tokio::test]
async fn deliveries_are_put_off_above_the_high_water_mark_and_taken_again_below_it() {
    let world = World::start(Catalogue::generate(450, 0, 7)).await.unwrap();
    let setup = world.setup().with("high_water_mark", "10000");
    // Without a PIM a tick still counts what waits.
    let application = Application::start(setup.clone().with("pim_url", "http://127.0.0.1:9"))
        .await
        .unwrap();
    let changes: Vec<_> = (0..23).flat_map(|_| world.touch_all().unwrap()).collect();
    assert!(changes.len() > 10_000);
    deliver_all(&application, &legacy_deliveries(&changes, 1))
        .await
        .unwrap();
    application.tick().await.unwrap();
    for delivery in [&platform_deliveries(&changes, 2)[0], &legacy_deliveries(&changes, 2)[0]] {
        let answer = application.deliver(delivery).await.unwrap();
        assert_eq!(answer.status, 429, "{:?}", answer.json());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let unreadable = setup.clone().with_unreadable("high_water_mark");
    let application = application.restart_with(unreadable).await.unwrap();
    for (delivery, status) in [
        (&platform_deliveries(&changes, 2)[0], 429),
        (&legacy_deliveries(&changes, 2)[0], 503),
    ] {
        let answer = application.deliver(delivery).await.unwrap();
        assert_eq!(answer.status, status, "{:?}", answer.json());
        assert!(answer.json()["detail"].as_str().unwrap().contains("high_water_mark"));
    }
    let application = application.restart_with(setup).await.unwrap();
    world.settle(&application, 0).await.unwrap();
    deliver_all(&application, &platform_deliveries(&changes[..1], 3))
        .await
        .unwrap();
}
