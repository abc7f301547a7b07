//! `simulator pim` and `simulator destination`.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use simulator::catalogue::Catalogue;
use simulator::destination::{Destination, DestinationConfig};
use simulator::pim::{Pim, PimConfig, PostSearch};
use simulator::server::{Control, Server, Upstream};

#[derive(Debug, Args)]
struct Listening {
    /// Let callers from other machines use /_control/; by default only this machine may.
    #[arg(long)]
    control_from_anywhere: bool,
}

impl Listening {
    async fn serve<U: Upstream>(&self, state: U, listen: SocketAddr, what: &str) -> Result<ExitCode> {
        let control = if self.control_from_anywhere {
            Control::Anyone
        } else {
            Control::Loopback
        };
        let server = Server::start_with_control(state, listen, control).await?;
        println!("{what} at {}; control below {}/_control/", server.url(), server.url());
        tokio::signal::ctrl_c().await?;
        server.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}

#[derive(Debug, Args)]
pub(super) struct PimOptions {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// Products in the catalogue, a tenth of them variants.
    #[arg(long, default_value_t = 1000)]
    products: usize,
    /// Product models in the catalogue.
    #[arg(long, default_value_t = 30)]
    models: usize,
    /// The same seed gives the same catalogue.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How far lists lag behind reads by id, in milliseconds.
    #[arg(long, default_value_t = 0)]
    lag_ms: u64,
    /// The PIM's clock minus the real one, in milliseconds.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    clock_skew_ms: i64,
    /// Offset of `created` and `updated`, in minutes east of UTC.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    body_offset_minutes: i32,
    /// Answer POST /products-uuid/search with 405, as a PIM 7.0 does.
    #[arg(long)]
    without_post_search: bool,
    /// Count calls beyond the limits but answer them.
    #[arg(long)]
    without_429: bool,
    /// Client id of the connection.
    #[arg(long, env = "PIM_CLIENT_ID", default_value_t = PimConfig::default().client_id)]
    client_id: String,
    /// Client secret of the connection.
    #[arg(long, env = "PIM_CLIENT_SECRET", hide_env_values = true, default_value_t = PimConfig::default().client_secret)]
    client_secret: String,
    /// User of the connection.
    #[arg(long, env = "PIM_USERNAME", default_value_t = PimConfig::default().username)]
    username: String,
    /// Password of that user.
    #[arg(long, env = "PIM_PASSWORD", hide_env_values = true, default_value_t = PimConfig::default().password)]
    password: String,
    /// A token that is good for ever, as an App has one.
    #[arg(long, env = "PIM_APP_TOKEN", hide_env_values = true)]
    app_token: Option<String>,
    /// Lifetime of access tokens, in seconds.
    #[arg(long, default_value_t = 3600)]
    access_lifetime_s: u64,
    #[command(flatten)]
    listening: Listening,
}

impl PimOptions {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let what = format!("PIM with {} products and {} product models", self.products, self.models);
        let catalogue = Catalogue::generate(self.products, self.models, self.seed);
        let mut config = PimConfig {
            client_id: self.client_id,
            client_secret: self.client_secret,
            username: self.username,
            password: self.password,
            app_token: self.app_token,
            access_lifetime_s: self.access_lifetime_s,
            lag_ms: self.lag_ms,
            clock_skew_ms: self.clock_skew_ms,
            body_offset_minutes: self.body_offset_minutes,
            seed: self.seed,
            ..PimConfig::default()
        };
        config.limits.enforce = !self.without_429;
        if self.without_post_search {
            config.post_search = PostSearch::MethodNotAllowed;
        }
        self.listening
            .serve(Pim::new(catalogue, config), self.listen, &what)
            .await
    }
}

#[derive(Debug, Args)]
pub(super) struct DestinationOptions {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// Bearer token that every call must carry; by default none.
    #[arg(long, env = "DESTINATION_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Answer 404 when what is to be deleted is not there, instead of 204.
    #[arg(long)]
    unknown_delete_is_404: bool,
    /// Keep the bodies of all requests in the log.
    #[arg(long)]
    keep_bodies: bool,
    #[command(flatten)]
    listening: Listening,
}

impl DestinationOptions {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config = DestinationConfig {
            token: self.token,
            unknown_delete_is_404: self.unknown_delete_is_404,
            keep_bodies: self.keep_bodies,
            ..DestinationConfig::default()
        };
        self.listening
            .serve(Destination::new(config), self.listen, "Destination")
            .await
    }
}
