//! The server: one thread for all connections.
//!
//! It uses hyper. tiny_http is designed for a pool of threads, but its users say that it is no longer maintained (tiny-http#286). A
//! fork has the fixes of its known vulnerabilities (tiny-http#289).

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::{Response, plain};

/// How long a client may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(30);
/// How long a client may continue to send a body that is too long.
const LINGER: Duration = Duration::from_millis(500);
/// How long an ended server continues to send finished answers.
const GRACE: Duration = Duration::from_millis(500);
/// How long the listener pauses if it cannot accept a connection because no descriptors are left.
const REST: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Accepts connections.
    Serving,
    /// Accepts no connections, but answers the requests that it has.
    Draining,
    /// Cuts off everything that is not answered within `GRACE`.
    Ending,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    port: u16,
    phase: watch::Sender<Phase>,
    /// Reports the end of the server's thread, which drops the other side.
    ended: Mutex<mpsc::Receiver<Infallible>>,
}

impl Server {
    /// Listens and serves. `answer` answers each request. `at_end` is called on the server's thread when the server has ended. At most `pool`
    /// threads run what `answer` passes to tokio's `spawn_blocking`.
    ///
    /// # Errors
    /// The port is not available, or no thread can be started.
    pub fn start<A, F>(
        host: &str,
        port: u16,
        largest_body: usize,
        pool: usize,
        answer: A,
        at_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Server>
    where
        A: Fn(Parts, Vec<u8>) -> F + Send + Sync + 'static,
        F: Future<Output = Response> + Send,
    {
        let listener = std::net::TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(pool)
            .thread_name("httpd pool")
            .build()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new().name("httpd".to_owned()).spawn(move || {
            // If tokio does not accept the listener, the server could serve nobody, so it ends at once.
            let _ = runtime.block_on(serve(listener, phases, largest_body, Arc::new(answer)));
            // This drops requests that were cut off. It does not wait for threads of the pool. They end when Lua has answered.
            runtime.shutdown_background();
            drop(end);
            at_end();
        })?;
        Ok(Server { port, phase, ended: Mutex::new(ended) })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it accepts connections.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Accepts no more connections, but answers the requests that it has.
    pub fn close(&self) {
        self.phase.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Draining;
            }
            serving
        });
    }

    /// Ends the server.
    pub fn end(&self) {
        self.phase.send_replace(Phase::Ending);
    }

    /// Waits until an ended server has sent its answers, but not much longer than `GRACE`.
    pub fn wait(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(2 * GRACE);
    }

    /// Whether its thread has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.try_recv() == Err(mpsc::TryRecvError::Disconnected)
    }
}

/// Serves until the phase changes.
async fn serve<A, F>(
    listener: std::net::TcpListener,
    mut phase: watch::Receiver<Phase>,
    largest_body: usize,
    answer: Arc<A>,
) -> io::Result<()>
where
    A: Fn(Parts, Vec<u8>) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send,
{
    let listener = TcpListener::from_std(listener)?;
    let connections = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(REST).await;
            continue;
        };
        let answer = Arc::clone(&answer);
        let service = service_fn(move |request| respond(request, largest_body, Arc::clone(&answer)));
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        // It fails if the client disconnects, which needs no action here.
        tokio::spawn(connections.watch(connection));
    }
    drop(listener);
    let cut = async {
        let _ = phase.wait_for(|phase| *phase == Phase::Ending).await;
        sleep(GRACE).await;
    };
    tokio::select! {
        () = connections.shutdown() => {}
        () = cut => {}
    }
    Ok(())
}

async fn respond<A, F>(
    request: Request<Incoming>,
    largest_body: usize,
    answer: Arc<A>,
) -> Result<Response, Infallible>
where
    A: Fn(Parts, Vec<u8>) -> F,
    F: Future<Output = Response>,
{
    let (parts, body) = request.into_parts();
    Ok(match read(body, largest_body, parts.headers.contains_key(EXPECT)).await {
        Ok(body) => answer(parts, body).await,
        Err(refusal) => refusal,
    })
}

/// Reads a body to its end, or returns the response that says why it cannot.
async fn read(mut body: Incoming, largest: usize, expects: bool) -> Result<Vec<u8>, Response> {
    let too_large = if body.size_hint().lower() > largest as u64 {
        true
    } else {
        match timeout(SLOWEST_BODY, Limited::new(&mut body, largest).collect()).await {
            Ok(Ok(body)) => return Ok(body.to_bytes().into()),
            Ok(Err(error)) => error.is::<LengthLimitError>(),
            Err(_) => return Err(plain(408, "the body took too long")),
        }
    };
    if !too_large {
        return Err(plain(400, "the body could not be read"));
    }
    // If the client is still sending, closing now would cut it off before it has read the answer. A client that asks before it sends
    // is not told to send.
    if !expects {
        let _ = timeout(LINGER, async { while let Some(Ok(_)) = body.frame().await {} }).await;
    }
    Err(plain(413, "the body is too long"))
}
