//! `sqlite` opens SQLite databases. Each has its own thread, so that no query blocks Lua.
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local sqlite = darksidesync.load "sqlite"
//!
//! local db = sqlite.open "people.db"
//! db:exec("create table if not exists people (name text, age integer)", function(err) assert(not err, err) end)
//! db:exec("insert into people values (?, ?)", {"Ada", 36}, function(err, changes, rowid) assert(not err, err) end)
//! db:query("select * from people where age > :age", {[":age"] = 30}, function(err, rows)
//!     assert(not err, err)
//!     for _, row in ipairs(rows) do print(row.name, row.age) end
//!     db:close()
//! end)
//! darksidesync.run()
//! ```
//!
//! `sqlite.open(path [, options])` returns a database, or raises an error. The path `":memory:"` opens one in memory. The options:
//! `readonly`; `busy`, how many seconds to wait for a lock of another connection, by default 5; `answer`, how many seconds a
//! function written in Lua may take, by default 10; `queue`, how many statements may wait, by default 1,000; and `rows`, how
//! many rows a query may return, by default 100,000.
//!
//! * `db:query(sql [, params], callback)` calls `callback(err, rows)` with the text of an error, or with nil and a list of rows. Each row is a
//!   table with the names of the columns as keys. Null values are left out.
//! * `db:exec(sql [, params], callback)` calls `callback(err, changes, rowid)`: how many rows were changed, and the number of
//!   the row that was inserted last. Without parameters it accepts several statements, separated by semicolons.
//! * `db:func(name, count, f)` makes `f` a function of SQL with `count` arguments, or with any number of them if `count` is -1. If it
//!   raises an error or takes too long, the statement fails.
//! * `db:close()` interrupts the running statement. This statement and all that wait end with an error.
//!
//! The parameters are a list, or a table with the names of the parameters as keys, as written in the statement. A missing parameter is
//! null. A string in UTF-8 is text. Any other string is a blob, and so is `{blob = string}`. A boolean is 0 or 1. Text and blobs are
//! returned as strings. An integer over 2^53 needs a Lua with integers. In other Luas, DSS's error handler gets an error instead of the
//! rows; let the statement cast the integer to text.
//!
//! Statements run in the order in which they were given. A transaction is `begin`, the statements, and `commit`.
//! If too many statements wait, `query` and `exec` raise an error. A database that is collected finishes its statements
//! and is then closed. A database that its own `func` refers to is not collected. `run()` goes on until the database is closed.

mod sql;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use dss_abi_v2::{
    Callback, Error, FromValue, Library, Limits, Policy, Result, Value, ValueError, library, object,
};

use sql::Params;
use worker::{Job, Settings, Worker};

library! {
    name: "sqlite",
    version: env!("CARGO_PKG_VERSION"),
    requires: "^2.1",
    functions: { open },
    objects: [Database],
    // A worker that is faster than Lua waits for room, and regularly checks whether its state still exists.
    limits: Limits::new().policy(Policy::Wait(Duration::from_secs(1))),
    keep_alive: false,
    close: worker::end_all,
}

#[derive(FromValue)]
struct Options {
    #[dss(default)]
    readonly: bool,
    busy: Option<Duration>,
    answer: Option<Duration>,
    queue: Option<u32>,
    rows: Option<u32>,
}

/// `sqlite.open(path [, options])`.
fn open(library: &Library, path: PathBuf, options: Option<Options>) -> Result<Database> {
    let options =
        options.unwrap_or(Options { readonly: false, busy: None, answer: None, queue: None, rows: None });
    let settings = Settings {
        readonly: options.readonly,
        busy: options.busy.unwrap_or(Duration::from_secs(5)),
        answer: options.answer.unwrap_or(Duration::from_secs(10)),
        queue: options.queue.unwrap_or(1000) as usize,
        rows: options.rows.unwrap_or(100_000) as usize,
    };
    let text = path.display().to_string();
    match Worker::start(*library, &path, settings) {
        Ok(worker) => Ok(Database { path: text, worker }),
        Err(error) => Err(Error::new(format!("sqlite cannot open {text}: {}", error.as_str()))),
    }
}

/// A database in Lua. When it is collected, its worker finishes and ends.
struct Database {
    path: String,
    worker: Worker,
}

object! {
    Database as "database",
    methods: { query, exec, func },
    to_string: Database::text,
    close: Database::close,
}

/// The argument after the statement: the parameters, or the callback if there are none.
enum Second {
    Params(Params),
    Callback(Callback),
}

impl FromValue for Second {
    fn from_value(value: Value) -> Result<Second, ValueError> {
        match value {
            Value::Callback(callback) => Ok(Second::Callback(callback)),
            Value::Nil | Value::List(_) | Value::Map(_) => Params::from_value(value).map(Second::Params),
            other => Err(other.unlike("a table of parameters, or a function")),
        }
    }
}

/// The parameters and the callback.
fn given(method: &str, second: Second, third: Option<Callback>) -> Result<(Option<Params>, Callback)> {
    match (second, third) {
        (Second::Callback(callback), _) => Ok((None, callback)),
        (Second::Params(params), Some(callback)) => Ok((Some(params), callback)),
        (Second::Params(_), None) => {
            let error = ValueError::new("a function", "nothing");
            Err(Error::new(format!("bad argument #3 to 'database:{method}': {error}")))
        }
    }
}

impl Database {
    fn query(&self, _: &Library, sql: String, second: Second, third: Option<Callback>) -> Result<()> {
        let (params, callback) = given("query", second, third)?;
        self.worker.send(Job::Query { sql, params: params.unwrap_or_default(), callback })
    }

    fn exec(&self, _: &Library, sql: String, second: Second, third: Option<Callback>) -> Result<()> {
        let (params, callback) = given("exec", second, third)?;
        self.worker.send(Job::Exec { sql, params: params.filter(|params| !params.is_empty()), callback })
    }

    fn func(&self, _: &Library, name: String, count: i32, function: Callback) -> Result<()> {
        let fits = (1..=255).contains(&name.len()) && !name.contains('\0');
        if !fits || !(-1..=127).contains(&count) {
            return Err(Error::new(format!(
                "sqlite has no function '{name}' of {count} arguments: its name may have 255 bytes, and it 127 arguments, \
                 or any number with -1"
            )));
        }
        self.worker.send(Job::Function { name, count, function })
    }

    fn text(&self) -> String {
        format!("sqlite database {}{}", self.path, if self.worker.is_open() { "" } else { " (closed)" })
    }

    fn close(&self, _: &Library) {
        self.worker.close();
    }
}
