//! A simulated PIM and destination with an application between them.

use crate::application::{Application, Setup};
use anyhow::Result;
use simulator::catalogue::{Action, Catalogue, Change, Edit, EntityId};
use simulator::compare::{Difference, Mapping, differences};
use simulator::deliveries::{Delivery, Format, Plan, Secrets};
use simulator::destination::{Destination, DestinationConfig};
use simulator::meter::Limits;
use simulator::pim::{CallKind, Pim, PimConfig};
use simulator::server::{DestinationServer, PimServer};
use simulator::times::now_ms;

/// The secret of the Event Platform's subscription.
pub const PLATFORM_SECRET: &str = "secret-of-the-subscription";
/// The secret of the Events API's connection.
pub const LEGACY_SECRET: &str = "secret-of-the-connection";
/// The secret of the notifications.
pub const NOTIFICATION_SECRET: &str = "secret-of-the-notifications";
/// The destination's token.
pub const DESTINATION_TOKEN: &str = "token-of-the-destination";

/// The secrets in an application's variables.
pub fn secrets() -> Setup {
    Setup::default()
        .with("event_platform_secret", PLATFORM_SECRET)
        .with("events_api_secret", LEGACY_SECRET)
        .with("notification_secret", NOTIFICATION_SECRET)
}

/// The servers around an application.
pub struct World {
    /// The PIM.
    pub pim: PimServer,
    /// The destination.
    pub destination: DestinationServer,
}

impl World {
    /// Starts a PIM with this catalogue and an empty destination.
    ///
    /// # Errors
    /// If they cannot listen.
    pub async fn start(catalogue: Catalogue) -> Result<World> {
        World::with(catalogue, PimConfig::default()).await
    }

    /// The same with a PIM set up in its own way.
    ///
    /// # Errors
    /// If they cannot listen.
    pub async fn with(catalogue: Catalogue, pim: PimConfig) -> Result<World> {
        let any = "127.0.0.1:0".parse()?;
        let limits = Limits {
            at_once: Some(5),
            ..Limits::default()
        };
        let config = DestinationConfig {
            token: Some(DESTINATION_TOKEN.to_owned()),
            unknown_delete_is_404: true,
            keep_bodies: true,
            limits,
            ..DestinationConfig::default()
        };
        Ok(World {
            pim: PimServer::start(Pim::new(catalogue, pim), any).await?,
            destination: DestinationServer::start(Destination::new(config), any).await?,
        })
    }

    /// The setup of an application between the two. Reconciliation looks only when it is asked to.
    pub fn setup(&self) -> Setup {
        let setup = self.pim.with(|pim| {
            secrets()
                .with("pim_client_id", &pim.config.client_id)
                .with("pim_client_secret", &pim.config.client_secret)
                .with("pim_username", &pim.config.username)
                .with("pim_password", &pim.config.password)
        });
        setup
            .with("pim_url", &self.pim.url())
            .with("destination_url", &self.destination.url())
            .with("destination_token", DESTINATION_TOKEN)
            .with("destination_calls_per_second", "1000")
            .with("recent_seconds", "0")
            .with("walk_hours", "0")
    }

    /// Edits the PIM.
    ///
    /// # Errors
    /// If the entity does not exist.
    pub fn edit(&self, entity: &EntityId, action: Action) -> Result<Vec<Change>> {
        Ok(self
            .pim
            .with(|pim| pim.edit(&Edit::new(entity.clone(), action), now_ms()))?)
    }

    /// Edits these entities, and delivers what the PIM tells of it.
    ///
    /// # Errors
    /// If one does not exist any more, or a delivery is not acknowledged.
    pub async fn touch(&self, application: &Application, entities: &[EntityId], seed: u64) -> Result<()> {
        let changes = entities.iter().map(|entity| self.edit(entity, Action::Touch));
        let changes = changes.collect::<Result<Vec<_>>>()?.concat();
        deliver_all(application, &platform_deliveries(&changes, seed)).await
    }

    /// Edits every product.
    ///
    /// # Errors
    /// If one does not exist any more.
    pub fn touch_all(&self) -> Result<Vec<Change>> {
        let changes = self
            .products()
            .into_iter()
            .map(|product| self.edit(&product, Action::Touch));
        Ok(changes.collect::<Result<Vec<_>>>()?.concat())
    }

    /// The products, by UUID.
    pub fn products(&self) -> Vec<EntityId> {
        self.pim.with(|pim| {
            pim.catalogue
                .truth()
                .products(None)
                .map(|product| product.id.clone())
                .collect()
        })
    }

    /// The product models, in the PIM's order.
    pub fn models(&self) -> Vec<EntityId> {
        self.pim.with(|pim| {
            pim.catalogue
                .truth()
                .models(None)
                .map(|model| model.id.clone())
                .collect()
        })
    }

    /// Where the destination differs from the PIM.
    pub fn differences(&self) -> Vec<Difference> {
        self.pim.with(|pim| {
            self.destination
                .with(|destination| differences(pim, destination, &Mapping::default()))
        })
    }

    /// Ticks until the destination differs in these entities at most, with time for the schedule's first delays.
    ///
    /// # Errors
    /// If hundreds of ticks do not get there; what differs is told.
    pub async fn settle(&self, application: &Application, but_for: usize) -> Result<()> {
        for _ in 0..300 {
            if self.differences().len() <= but_for {
                return Ok(());
            }
            application.tick().await?;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        anyhow::bail!(
            "still different after hundreds of ticks: {:?}; the last tick: {}",
            self.differences(),
            application.tick().await?
        )
    }

    /// How many calls of a kind the PIM has had.
    pub fn pim_calls(&self, kinds: &[CallKind]) -> usize {
        self.pim
            .with(|pim| pim.calls.iter().filter(|call| kinds.contains(&call.kind)).count())
    }

    /// How many requests with this method the destination has had.
    pub fn pushes(&self, method: &str) -> usize {
        self.destination.with(|destination| {
            destination
                .log
                .iter()
                .filter(|request| request.method == method)
                .count()
        })
    }

    /// Forgets the calls made so far.
    pub fn forget_calls(&self) {
        self.pim.with(|pim| pim.calls.clear());
        self.destination.with(|destination| destination.log.clear());
    }
}

/// Deliveries of the Event Platform for these changes, each once and in order.
pub fn platform_deliveries(changes: &[Change], seed: u64) -> Vec<Delivery> {
    Plan::new(
        Format::EventPlatform(Secrets::primary(PLATFORM_SECRET)),
        now_ms() / 1000,
        seed,
    )
    .deliveries(changes)
}

/// Deliveries of the Events API for these changes, by ten.
pub fn legacy_deliveries(changes: &[Change], seed: u64) -> Vec<Delivery> {
    Plan::new(Format::EventsApi(LEGACY_SECRET.to_owned()), now_ms() / 1000, seed).deliveries(changes)
}

/// Delivers all of them and insists on their acknowledgement.
///
/// # Errors
/// If one is not answered 200.
pub async fn deliver_all(application: &Application, deliveries: &[Delivery]) -> Result<()> {
    let sent = simulator::deliveries::Sender::new(&application.url)
        .send_all(deliveries, 16)
        .await;
    match sent.iter().find(|sent| !sent.delivered()) {
        None => Ok(()),
        Some(refused) => anyhow::bail!("delivery {}: {:?}", refused.index, refused.status),
    }
}
