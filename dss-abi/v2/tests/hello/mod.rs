//! A library with something of everything, for the tests of how one is opened and called.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

use dss_abi_v2::{
    library, object, Bytes, Callback, Error, IntoResults, Library, Limits, Nil, ObjectRef, Policy, Rest,
    Result, Value,
};

// The fields stand in any order, and a name of the author's is the author's: `NAME`, `run`, `call`.
library! {
    close: closed,
    functions: {
        greet, add, "say-nothing" => nothing, boom, maybe, several, make, look, look_maybe, count, text, keep, fails,
        overflow, many, on, refuse_with, run, call, on_by_value, missing => nil_and_why, nothing_last, "nil" => is_nil,
    },
    objects: [Ticker, Other],
    keep_alive: false,
    requires: "^2.1",
    version: "1.2.3",
    name: NAME,
    open: opened,
    limits: Limits::new().items(10_000).policy(Policy::DropOldest),
}

const NAME: &str = "hello";

fn run(_: &Library) -> &'static str {
    "the author's run"
}

fn call(_: Library) -> &'static str {
    "the author's call"
}

fn on_by_value(library: Library, but: Option<bool>) -> bool {
    library.on_lua_thread() != but.unwrap_or(false)
}

fn nil_and_why(_: &Library) -> (Nil, &'static str) {
    (Nil, "no such file")
}

/// `()` after all values is no harm: it adds nothing.
fn nothing_last(_: &Library) -> (u8, ()) {
    (7, ())
}

fn is_nil(_: &Library, _nil: Nil) -> bool {
    true
}

pub(crate) static OPENED: AtomicUsize = AtomicUsize::new(0);
pub(crate) static CLOSED: AtomicUsize = AtomicUsize::new(0);
pub(crate) static DROPPED: AtomicUsize = AtomicUsize::new(0);

fn opened(_: &Library) -> Result<()> {
    match OPENED.fetch_add(1, Ordering::SeqCst) {
        7 => Err("it is Sunday".into()),
        8 => panic!("far too late"),
        _ => Ok(()),
    }
}

fn closed(_: &Library) {
    CLOSED.fetch_add(1, Ordering::SeqCst);
}

fn greet(_: &Library, name: String) -> Result<String> {
    Ok(format!("hello {}", name))
}

fn add(_: &Library, left: i32, right: u8) -> i32 {
    left + i32::from(right)
}

fn nothing(_: &Library) {}

fn boom(_: &Library) {
    panic!("boom {}", 1)
}

fn maybe(_: &Library, text: Option<String>) -> Option<usize> {
    text.map(|text| text.len())
}

fn several(_: &Library) -> (bool, i64, &'static str) {
    (true, 2, "three")
}

fn make(_: &Library) -> Ticker {
    Ticker { beats: AtomicUsize::new(0) }
}

fn look(_: &Library, ticker: ObjectRef<'_, Ticker>, _text: &Library2) -> usize {
    ticker.beats.load(Ordering::SeqCst)
}

/// Something that is no parameter, only to be named in a type.
struct Library2;
impl<'a> dss_abi_v2::FromArgument<'a> for &'a Library2 {
    fn from_argument(_: &mut dss_abi_v2::Arguments<'a>) -> Result<Self, Error> {
        Ok(&Library2)
    }
}

fn look_maybe(_: &Library, ticker: Option<ObjectRef<'_, Ticker>>) -> Option<usize> {
    ticker.map(|ticker| ticker.beats.load(Ordering::SeqCst))
}

fn count(_: &Library, first: Value, rest: Rest) -> (&'static str, usize) {
    (first.kind(), rest.0.len())
}

fn text(_: &Library, bytes: Bytes) -> usize {
    bytes.0.len()
}

pub(crate) static KEPT: Mutex<Option<Callback>> = Mutex::new(None);

fn keep(_: &Library, callback: Callback) {
    *KEPT.lock().unwrap() = Some(callback);
}

fn fails(_: &Library) -> Result<()> {
    "x".parse::<u8>()?;
    Err(Error::new("never"))
}

fn overflow(_: &Library) -> (u8, u64) {
    (1, u64::MAX)
}

#[allow(clippy::too_many_arguments)]
fn many(_: &Library, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> impl IntoResults {
    (
        Rest(vec![a.into(), b.into(), c.into(), d.into(), e.into()]),
        Rest(vec![f.into(), g.into(), h.into()]),
        9,
        10,
    )
}

fn on(library: &Library) -> bool {
    library.on_lua_thread()
}

/// An error that is a table.
fn refuse_with(_: &Library, code: i64) -> Result<()> {
    Err(Error::of(vec![code, code]))
}

struct Ticker {
    beats: AtomicUsize,
}

object! {
    Ticker as "ticker",
    methods: { beat, "beats" => Ticker::count, stop, itself, run, calls => Ticker::call },
    to_string: Ticker::text,
    close: |ticker, library| ticker.stop(library),
}

impl Ticker {
    fn beat(&self, _: &Library, times: usize) -> usize {
        self.beats.fetch_add(times, Ordering::SeqCst) + times
    }

    fn count(&self, _: &Library) -> usize {
        self.beats.load(Ordering::SeqCst)
    }

    fn run(&self, library: Library) -> bool {
        library.on_lua_thread()
    }

    fn call(&self, _: Library, more: usize) -> usize {
        self.count_raw() + more
    }

    fn text(&self) -> String {
        if self.count_raw() > 99 {
            panic!("no text")
        }
        format!("a ticker at {}", self.count_raw())
    }

    fn count_raw(&self) -> usize {
        self.beats.load(Ordering::SeqCst)
    }

    /// For a chain of calls.
    fn itself(&self, _: &Library, fails: Option<bool>) -> Result<ObjectRef<'_, Self>> {
        match fails {
            Some(true) => Err("it cannot be had".into()),
            _ => Ok(ObjectRef::of(self)),
        }
    }

    fn stop(&self, _: &Library) -> Result<()> {
        Err("it cannot be stopped".into())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
        if self.count_raw() == 13 {
            panic!("a destructor that panics");
        }
    }
}

struct Other;
object! { Other as "other" }
