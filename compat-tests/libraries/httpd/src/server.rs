//! The server: one thread for all connections, and a pool whose threads wait for Lua. It knows no Lua.
//!
//! On hyper: tiny_http looks made for a pool of threads, but its users say that it is no longer maintained
//! (tiny-http#286), and a fork carries the fixes of its known holes (tiny-http#289).

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::message::{Asked, Response, plain};

/// The largest body that is read, in bytes.
const LARGEST_BODY: usize = 1 << 20;
/// How long a client may take to send a body.
const SLOWEST_BODY: Duration = Duration::from_secs(30);
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
    /// Listens and serves; `answer` is called on a thread of the pool for each request.
    ///
    /// # Errors
    /// Where the port cannot be had, or no thread.
    pub(crate) fn start(
        host: &str,
        port: u16,
        threads: usize,
        answer: impl Fn(Asked) -> Response + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let listener = std::net::TcpListener::bind((host, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(threads)
            .thread_name("httpd pool")
            .build()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new().name("httpd".to_owned()).spawn(move || {
            // A listener that tokio does not take would have served nobody: the server ends at once.
            let _ = runtime.block_on(serve(listener, phases, Arc::new(answer)));
            // A thread of the pool that still waits for Lua ends once Lua lets it go; nobody waits for it here.
            runtime.shutdown_background();
            drop(end);
        })?;
        Ok(Server { port, phase, ended: Mutex::new(ended) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
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

    /// Ends it. The threads that wait for Lua have been let go, or `wait` has nothing to wait for.
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
async fn serve<A>(
    listener: std::net::TcpListener,
    mut phase: watch::Receiver<Phase>,
    answer: Arc<A>,
) -> io::Result<()>
where
    A: Fn(Asked) -> Response + Send + Sync + 'static,
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
        let service = service_fn(move |request| respond(request, Arc::clone(&answer)));
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

async fn respond<A>(request: Request<Incoming>, answer: Arc<A>) -> Result<Response, Infallible>
where
    A: Fn(Asked) -> Response + Send + Sync + 'static,
{
    let (parts, body) = request.into_parts();
    Ok(match read(body).await {
        Ok(body) => spawn_blocking(move || answer(Asked { parts, body }))
            .await
            .unwrap_or_else(|_| plain(500, "the server failed")),
        Err(refusal) => refusal,
    })
}

/// Reads a body to its end, or says why not.
async fn read(body: Incoming) -> Result<Bytes, Response> {
    let too_large = || plain(413, "the body is larger than 1 MiB");
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(too_large());
    }
    match timeout(SLOWEST_BODY, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(plain(400, "the body could not be read")),
        Err(_) => Err(plain(408, "the body took too long")),
    }
}
