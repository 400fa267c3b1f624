//! The server: one thread for all connections. It knows no Lua.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::header::EXPECT;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::message::{Asked, Response, plain};

/// How long a client may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(30);
/// How long a client may go on sending a body that is too long.
const LINGER: Duration = Duration::from_millis(500);
/// How long an ended server goes on sending the answers that it has.
const GRACE: Duration = Duration::from_millis(500);
/// How long the listener rests where no connection can be taken, for want of descriptors.
const REST: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// Connections are taken.
    Serving,
    /// None are; the requests that are in are answered.
    Draining,
    /// What is not answered after `GRACE` is cut off.
    Ending,
}

/// A running server.
pub(crate) struct Server {
    port: u16,
    phase: watch::Sender<Phase>,
    /// Hears the end of the server's thread, which drops the other side.
    ended: Mutex<mpsc::Receiver<Infallible>>,
}

impl Server {
    /// Listens and serves; `answer` makes the answer to each request, and `at_end` is called on the server's thread when it
    /// has ended.
    ///
    /// # Errors
    /// Where the port cannot be had, or no thread.
    pub(crate) fn start<A, F>(
        host: &str,
        port: u16,
        largest_body: usize,
        answer: A,
        at_end: impl FnOnce() + Send + 'static,
    ) -> io::Result<Server>
    where
        A: Fn(Asked) -> F + Send + Sync + 'static,
        F: Future<Output = Response> + Send,
    {
        let listener = std::net::TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new().name("httpd".to_owned()).spawn(move || {
            // A listener that tokio does not take would have served nobody: the server ends at once.
            let _ = runtime.block_on(serve(listener, phases, largest_body, Arc::new(answer)));
            // What was cut off is dropped here, and what it asked of Lua is taken back.
            drop(runtime);
            drop(end);
            at_end();
        })?;
        Ok(Server { port, phase, ended: Mutex::new(ended) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Takes no more connections, and answers what is in.
    pub(crate) fn close(&self) {
        self.phase.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Draining;
            }
            serving
        });
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.phase.send_replace(Phase::Ending);
    }

    /// Waits until an ended server has sent what it has, and not much longer than `GRACE`.
    pub(crate) fn wait(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(2 * GRACE);
    }

    pub(crate) fn has_ended(&self) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.try_recv() == Err(mpsc::TryRecvError::Disconnected)
    }
}

/// Serves until the phase says otherwise.
async fn serve<A, F>(
    listener: std::net::TcpListener,
    mut phase: watch::Receiver<Phase>,
    largest_body: usize,
    answer: Arc<A>,
) -> io::Result<()>
where
    A: Fn(Asked) -> F + Send + Sync + 'static,
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
        // It fails where the client leaves, which is the client's affair.
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
    A: Fn(Asked) -> F,
    F: Future<Output = Response>,
{
    let (parts, body) = request.into_parts();
    Ok(match read(body, largest_body, parts.headers.contains_key(EXPECT)).await {
        Ok(body) => answer(Asked::new(&parts, body)).await,
        Err(refusal) => refusal,
    })
}

/// Reads a body to its end, or says why not.
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
    // A client that is still sending would be cut off before it has read why. One that asks before it sends is not asked
    // to begin.
    if !expects {
        let _ = timeout(LINGER, async { while let Some(Ok(_)) = body.frame().await {} }).await;
    }
    Err(plain(413, "the body is too long"))
}
