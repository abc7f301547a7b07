//! Calls of components on WASI 0.3, whose instances take one request after another and several at once, as many as in
//! Spin.

use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, Response};
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use wasmtime::component::Accessor;
use wasmtime::{Engine, StoreContextMut};
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::handler::{HandlerState, Proxy, ProxyHandler, StoreBundle};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::p3::bindings::http::types::{self, ErrorCode};
use wasmtime_wasi_http::p3::{RequestOptions, WasiHttpHooks, WasiHttpView};

use crate::application::instance_store;
use crate::host::{Settings, State};

/// How many requests an instance takes before it is dropped, as in Spin.
const REQUESTS: usize = 128;

/// How many requests an instance takes at once, as in Spin.
const AT_ONCE: usize = 16;

/// How long an instance without a request is kept, as in Spin.
const IDLE: Duration = Duration::from_secs(1);

/// How the instances of a component are made.
pub(crate) struct Instances {
    engine: Engine,
    settings: Arc<Settings>,
}

impl Instances {
    /// Those of the component with these settings.
    pub(crate) fn new(engine: &Engine, settings: &Arc<Settings>) -> Self {
        Self {
            engine: engine.clone(),
            settings: Arc::clone(settings),
        }
    }
}

impl HandlerState for Instances {
    type StoreData = State;

    fn new_store(&self, _: Option<u64>) -> wasmtime::Result<StoreBundle<State>> {
        Ok(StoreBundle {
            store: instance_store(&self.engine, &self.settings),
            write_profile: Box::new(|_: StoreContextMut<'_, State>| ()),
        })
    }

    /// There is none, as in Spin.
    fn request_timeout(&self) -> Duration {
        Duration::MAX
    }

    fn idle_instance_timeout(&self) -> Duration {
        IDLE
    }

    fn max_instance_reuse_count(&self) -> usize {
        REQUESTS
    }

    fn max_instance_concurrent_reuse_count(&self) -> usize {
        AT_ONCE
    }

    fn handle_worker_error(&self, error: wasmtime::Error) {
        eprintln!("{}: an instance failed: {error:#}", self.settings.id);
    }
}

/// Has a request answered by an instance that has room for it, or by a new one. The answer is read whole before it is
/// passed on.
pub(crate) async fn call(
    instances: &ProxyHandler<Instances>,
    request: Request<Incoming>,
) -> Result<Response<HyperOutgoingBody>> {
    let body_failed = |error: hyper::Error| ErrorCode::InternalError(Some(error.to_string()));
    let request = request.map(|body| body.map_err(body_failed));
    let (request, sent) = types::Request::from_http(request);
    let (sender, receiver) = oneshot::channel();
    instances.spawn(
        None,
        Box::new(move |store: &Accessor<State>, proxy: &Proxy| {
            Box::pin(async move {
                let answer = answer(store, proxy, request, sent).await;
                // Whoever asked may be gone.
                sender.send(answer).ok();
            })
        }),
    );
    let answer = receiver.await.context("the instance ended without an answer")??;
    Ok(answer.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync()))
}

async fn answer(
    store: &Accessor<State>,
    proxy: &Proxy,
    request: types::Request,
    sent: impl Future<Output = Result<(), ErrorCode>> + Send + 'static,
) -> Result<Response<Bytes>> {
    let Proxy::P3(service) = proxy else {
        unreachable!("only components on WASI 0.3 are called here");
    };
    let request = store.with(|mut access| access.get().http().table.push(request))?;
    let answered = service.wasi_http_handler().call_handle(store, request).await?;
    let response = answered.context("the handler answered with an error")?;
    let response = store.with(|mut access| {
        let response = access.get().http().table.delete(response)?;
        response.into_http(&mut access, sent)
    })?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.context("the answer broke off")?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// Out of a component on WASI 0.3 leads no way: none that is deployed calls anybody.
pub(crate) struct NoWayOut;

type Sending = Box<dyn Future<Output = Result<(), ErrorCode>> + Send>;
type Answered = Result<(Response<UnsyncBoxBody<Bytes, ErrorCode>>, Sending), TrappableError<ErrorCode>>;

impl WasiHttpHooks for NoWayOut {
    fn send_request(
        &mut self,
        _: Request<UnsyncBoxBody<Bytes, ErrorCode>>,
        _: Option<RequestOptions>,
        _: Sending,
    ) -> Box<dyn Future<Output = Answered> + Send> {
        Box::new(async { Err(ErrorCode::HttpRequestDenied.into()) })
    }
}
