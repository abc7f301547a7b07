//! The thin servers: HTTP/1.1 over the pure parts, with the real clock. One piece of code serves both.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::control::{self, Controlled};
use crate::destination::Destination;
use crate::fault::{Reply, set_header};
use crate::pim::Pim;
use crate::times::now_ms;

/// A pure state machine that can be served.
pub trait Upstream: Controlled + Send + 'static {
    /// Begins a call.
    fn handle(&mut self, request: &Request<Bytes>, now_ms: u64) -> Reply;
    /// Ends a call.
    fn finish(&mut self);
    /// Lets happen what time alone makes happen.
    fn settle(&mut self, now_ms: u64);
}

impl Upstream for Pim {
    fn handle(&mut self, request: &Request<Bytes>, now_ms: u64) -> Reply {
        self.handle(request, now_ms)
    }

    fn finish(&mut self) {
        self.finish();
    }

    fn settle(&mut self, _now_ms: u64) {}
}

impl Upstream for Destination {
    fn handle(&mut self, request: &Request<Bytes>, now_ms: u64) -> Reply {
        self.handle(request, now_ms)
    }

    fn finish(&mut self) {
        self.finish();
    }

    fn settle(&mut self, now_ms: u64) {
        self.settle(now_ms);
    }
}

/// Who may use `/_control/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Nobody: its paths are paths like any other.
    Off,
    /// Callers from this machine.
    Loopback,
    /// Anyone who reaches the server.
    Anyone,
}

impl Control {
    fn admits(self, peer: IpAddr) -> bool {
        self == Self::Anyone || self == Self::Loopback && peer.to_canonical().is_loopback()
    }
}

/// A served PIM.
pub type PimServer = Server<Pim>;
/// A served destination.
pub type DestinationServer = Server<Destination>;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server<U: Upstream> {
    state: Arc<Mutex<U>>,
    addr: SocketAddr,
    stop: oneshot::Sender<Infallible>,
    task: JoinHandle<()>,
}

impl<U: Upstream> Server<U> {
    /// Serves on this address without control; port 0 takes a free one.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(state: U, addr: SocketAddr) -> Result<Self> {
        Self::start_with_control(state, addr, Control::Off).await
    }

    /// Serves on this address, with `/_control/` for those who may use it.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start_with_control(state: U, addr: SocketAddr, control: Control) -> Result<Self> {
        let listener = TcpListener::bind(addr)
            .await
            .with_context(|| format!("cannot listen on {addr}"))?;
        let addr = listener.local_addr()?;
        let state = Arc::new(Mutex::new(state));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, Arc::clone(&state), control, stopped));
        Ok(Self {
            state,
            addr,
            stop,
            task,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its origin, such as `http://127.0.0.1:4000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Looks at the state or changes it; what is due by now has happened. Calls wait meanwhile.
    pub fn with<T>(&self, use_it: impl FnOnce(&mut U) -> T) -> T {
        let mut state = lock(&self.state);
        state.settle(now_ms());
        use_it(&mut state)
    }

    /// Stops it, cuts every connection and gives the state back, to be looked at or served again.
    ///
    /// # Panics
    /// If a panic elsewhere has left the server's task unable to end.
    pub async fn stop(self) -> U {
        drop(self.stop);
        // The task ends by itself once the channel is closed.
        let _ = self.task.await;
        let state = Arc::try_unwrap(self.state).ok().expect("all connections have ended");
        state.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<U>(state: &Mutex<U>) -> MutexGuard<'_, U> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept<U: Upstream>(
    listener: TcpListener,
    state: Arc<Mutex<U>>,
    control: Control,
    mut stopped: oneshot::Receiver<Infallible>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&state), control.admits(peer.ip())));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    connections.shutdown().await;
}

async fn serve<U: Upstream>(stream: TcpStream, state: Arc<Mutex<U>>, control: bool) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(request, Arc::clone(&state), control));
    // An error here is a connection cut by a fault or by the client.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

// Returning an error makes hyper close the connection without an answer.
async fn answer<U: Upstream>(
    request: Request<Incoming>,
    state: Arc<Mutex<U>>,
    control: bool,
) -> Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts, body.collect().await?.to_bytes());
    if control && request.uri().path().starts_with(control::PREFIX) {
        let mut state = lock(&state);
        state.settle(now_ms());
        return Ok(control::answer(&mut *state, &request, now_ms()).map(whole));
    }
    let reply = lock(&state).handle(&request, now_ms());
    // Counted as open until the answer is ready or the client has gone, whichever is first.
    let open = Open(state);
    if reply.after_ms > 0 {
        tokio::time::sleep(Duration::from_millis(reply.after_ms)).await;
    }
    drop(open);
    let mut response = reply.response.context(CUT)?;
    if !reply.is_cut {
        return Ok(response.map(whole));
    }
    let length = response.body().len().to_string();
    set_header(&mut response, "content-length", &length);
    Ok(response.map(half))
}

/// Why a connection ends that a fault cuts.
const CUT: &str = "cut by a fault";

type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// Half of a body, and then the connection is cut.
fn half(body: Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    let cut = async {
        // What is written goes out first.
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(anyhow!(CUT))
    };
    let frames = stream::once(async { Ok(Frame::data(half)) }).chain(stream::once(cut));
    StreamBody::new(frames).boxed_unsync()
}

struct Open<U: Upstream>(Arc<Mutex<U>>);

impl<U: Upstream> Drop for Open<U> {
    fn drop(&mut self) {
        lock(&self.0).finish();
    }
}
