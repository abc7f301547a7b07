//! An application with something to see, and a browser before it.

use crate::driver::Browser;
use serde_json::json;
use simulator::catalogue::{Action, Catalogue, EntityId};
use tests::application::{ADMIN_TOKEN, Application};
use tests::world::{World, deliver_all, platform_deliveries};

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) application: Application,
    pub(crate) browser: Browser,
}

impl Scene {
    /// With a console that nobody has signed in to yet.
    pub(crate) async fn begin() -> Scene {
        let browser = Browser::start().await;
        let world = World::start(Catalogue::generate(24, 4, 7)).await.unwrap();
        let application = Application::start(world.setup()).await.unwrap();
        browser.open(&format!("{}/console", application.url)).await;
        Scene {
            world,
            application,
            browser,
        }
    }

    pub(crate) async fn sign_in(&self) {
        self.browser.fill("#token", ADMIN_TOKEN).await;
        self.browser.click("#sign-in-form button").await;
        self.browser
            .until("document.querySelector('#state.ok, #state.degraded, #state.down') !== null")
            .await;
    }

    /// Changes these entities and delivers what the PIM says of it.
    pub(crate) async fn deliver(&self, entities: &[EntityId], seed: u64) {
        let changes: Vec<_> = entities
            .iter()
            .flat_map(|entity| self.world.edit(entity, Action::Touch).unwrap())
            .collect();
        deliver_all(&self.application, &platform_deliveries(&changes, seed))
            .await
            .unwrap();
    }

    pub(crate) fn refuse(&self, entity: &EntityId, message: &str) {
        self.world
            .destination
            .with(|destination| destination.reject(&entity.key(), message));
    }

    /// Waits until this text stands in the element, whatever its case.
    pub(crate) async fn reads(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text.to_lowercase()));
        let expression = format!("document.querySelector({selector})?.innerText.toLowerCase().includes({text})");
        self.browser.until(&expression).await;
    }

    /// Waits until so many elements are there.
    pub(crate) async fn counts(&self, selector: &str, count: usize) {
        let expression = format!("document.querySelectorAll({}).length === {count}", json!(selector));
        self.browser.until(&expression).await;
    }
}
