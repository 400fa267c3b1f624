//! The thread of a database.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dss_abi_v2::{
    Callback, Deadline, DeliverError, Error, Hold, IntoValues, Library, RequestError, Rest, Result, Value,
};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, InterruptHandle, OpenFlags};

use crate::sql::{self, Params, Sql};

const CLOSED: &str = "the database is closed";
/// After how many SQLite instructions a statement checks whether the database was closed.
const STRIDE: i32 = 1000;
/// How long a closing state waits for its databases.
const GRACE: Duration = Duration::from_secs(1);

/// The options of a database.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) readonly: bool,
    pub(crate) busy: Duration,
    pub(crate) answer: Duration,
    pub(crate) queue: usize,
    pub(crate) rows: usize,
}

/// A job for a worker.
pub(crate) enum Job {
    Query { sql: String, params: Params, callback: Callback },
    Exec { sql: String, params: Option<Params>, callback: Callback },
    Function { name: String, count: i32, function: Callback },
}

/// What the worker, Lua's object and the closing state share.
struct Shared {
    library: Library,
    settings: Settings,
    closed: AtomicBool,
    /// The number of jobs that the worker has not started.
    waiting: AtomicUsize,
    /// `None` after the database was closed, or Lua has dropped it.
    jobs: Mutex<Option<Sender<Job>>>,
    interrupt: InterruptHandle,
    /// Reports the end of the worker, which drops the other side.
    ended: Mutex<Receiver<Infallible>>,
}

/// A database with a running worker.
struct Open {
    shared: Arc<Shared>,
    /// Keeps `run()` going.
    _hold: Hold,
}

/// The databases with a running worker, in all states.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Ends the running job and the waiting jobs with an error.
    fn close(&self) {
        // Set this before the interruption. A statement that starts after the interruption checks it.
        self.closed.store(true, Ordering::SeqCst);
        self.interrupt.interrupt();
        *lock(&self.jobs) = None;
    }
}

/// A running database. When this is dropped, the worker finishes its jobs and ends.
pub(crate) struct Worker(Arc<Shared>);

impl Drop for Worker {
    fn drop(&mut self) {
        *lock(&self.0.jobs) = None;
    }
}

impl Worker {
    /// Opens the database and starts its thread.
    ///
    /// # Errors
    /// SQLite cannot open it, or no thread can be started.
    pub(crate) fn start(library: Library, path: &Path, settings: Settings) -> Result<Worker> {
        let hold = library.hold()?;
        let flags = if settings.readonly {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
        };
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(settings.busy)?;
        let (jobs, received) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let shared = Arc::new(Shared {
            library,
            settings,
            closed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            jobs: Mutex::new(Some(jobs)),
            interrupt: connection.get_interrupt_handle(),
            ended: Mutex::new(ended),
        });
        // The interruption only ends a statement that is running. This handler ends one that was about to start.
        let seen = Arc::clone(&shared);
        connection.progress_handler(STRIDE, Some(move || seen.closed.load(Ordering::SeqCst)))?;
        let worker = Worker(Arc::clone(&shared));
        // Holds the lock, so that a worker that ends immediately finds its entry.
        let mut open = lock(&OPEN);
        std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || {
            let worked = Arc::clone(&shared);
            work(&worked, &connection, &received);
            // The file is closed before the end is reported.
            drop(connection);
            drop(end);
            leave(&worked);
        })?;
        open.push(Open { shared: Arc::clone(&worker.0), _hold: hold });
        Ok(worker)
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.0.closed.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }

    /// Gives the worker a job.
    ///
    /// # Errors
    /// The database is closed, or too many jobs wait.
    pub(crate) fn send(&self, job: Job) -> Result<()> {
        let most = self.0.settings.queue;
        let jobs = lock(&self.0.jobs);
        let Some(jobs) = &*jobs else { return Err(Error::new(CLOSED)) };
        let enter = |waiting| (waiting < most).then_some(waiting + 1);
        if self.0.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).is_err() {
            return Err(Error::new(format!(
                "{most} statements wait, as many as may: go on when some are done"
            )));
        }
        jobs.send(job).map_err(|_| Error::new(CLOSED))
    }
}

/// Ends all databases of a closing state, and waits for them up to `GRACE`. By now no worker waits for Lua.
pub(crate) fn end_all(library: &Library) {
    let mine: Vec<_> = {
        let open = lock(&OPEN);
        let mine = open.iter().filter(|open| open.shared.library == *library);
        mine.map(|open| Arc::clone(&open.shared)).collect()
    };
    mine.iter().for_each(|shared| shared.close());
    let limit = std::time::Instant::now() + GRACE;
    for shared in mine {
        let left = limit.saturating_duration_since(std::time::Instant::now());
        let _: Result<_, RecvTimeoutError> = lock(&shared.ended).recv_timeout(left);
    }
}

/// Removes a database whose worker ends.
fn leave(shared: &Arc<Shared>) {
    lock(&OPEN).retain(|open| !Arc::ptr_eq(&open.shared, shared));
}

/// Does all jobs until no more can come.
fn work(shared: &Arc<Shared>, connection: &Connection, jobs: &Receiver<Job>) {
    for job in jobs {
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let closed = || if shared.closed.load(Ordering::SeqCst) { Err(CLOSED.to_owned()) } else { Ok(()) };
        // An interrupted statement may report any error. Report that the database is closed instead.
        let or_closed = |error: String| closed().err().unwrap_or(error);
        match job {
            Job::Query { sql, params, callback } => {
                let rows =
                    closed().and_then(|()| sql::query(connection, &sql, &params, shared.settings.rows));
                match rows.map_err(or_closed) {
                    Ok(rows) => tell(shared, &callback, (Value::Nil, Value::List(rows))),
                    Err(error) => tell(shared, &callback, error),
                }
            }
            Job::Exec { sql, params, callback } => {
                let done = closed().and_then(|()| sql::exec(connection, &sql, params.as_ref()));
                match done.map_err(or_closed) {
                    Ok((changes, rowid)) => tell(shared, &callback, (Value::Nil, changes, rowid)),
                    Err(error) => tell(shared, &callback, error),
                }
            }
            Job::Function { name, count, function } => {
                let (library, answer) = (shared.library, shared.settings.answer);
                let call = move |context: &Context<'_>| ask(library, &function, answer, context);
                // Its name and its arguments are valid, and no statement is running. If SQLite has no memory for it, the
                // statements that use it report an unknown function.
                let _ = connection.create_scalar_function(&*name, count, FunctionFlags::SQLITE_UTF8, call);
            }
        }
    }
}

/// Calls a callback. Waits for room as long as it takes.
fn tell(shared: &Shared, callback: &Callback, values: impl IntoValues) {
    let mut refused = shared.library.deliver(callback, values).err();
    while let Some(last) = refused {
        refused = match last.reason {
            DeliverError::TimedOut => shared.library.deliver(callback, Rest(last.values)).err(),
            // The rows are too large. This sentence is not.
            DeliverError::TooLarge | DeliverError::TooDeep | DeliverError::Value(_) => {
                shared.library.deliver(callback, format!("Lua cannot be given the result: {last}")).err()
            }
            // The state is closing, and there is nobody to tell.
            _ => None,
        }
    }
}

/// Calls a function written in Lua, on the database's thread.
fn ask(
    library: Library,
    function: &Callback,
    answer: Duration,
    context: &Context<'_>,
) -> rusqlite::Result<Sql> {
    let arguments = Rest((0..context.len()).map(|index| sql::value(context.get_raw(index))).collect());
    library.request(function, arguments, Deadline::within(answer)).map_err(|error| {
        let sentence = match error {
            // Without its traceback, which is of no use to the statement.
            RequestError::Failed(failure) => failure.message,
            other => other.to_string(),
        };
        rusqlite::Error::UserFunctionError(io::Error::other(sentence).into())
    })
}
