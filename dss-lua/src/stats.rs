//! `libraries()`, `stats()` and `metrics()`: the figures of the state's libraries.

use std::ffi::{CStr, c_int};

use dss_impl::channel::ChannelInfo;
use dss_impl::histogram::Histogram;
use dss_impl::library::LibraryInfo;
use dss_impl::metrics;
use mlua::ffi;

use crate::entry::{answer, no_memory};
use crate::guard::Guard;
use crate::protected::Failed;
use crate::raw::Stack;

/// A table on top of the stack that is being filled. All methods raise.
#[derive(Clone, Copy)]
struct Entry(Stack);

impl Entry {
    fn text(self, name: &CStr, text: Option<&str>) {
        if let Some(text) = text {
            self.0.push_bytes(text.as_bytes());
            self.0.set_field(-2, name);
        }
    }

    fn count(self, name: &CStr, count: u64) {
        self.0.push_count(count);
        self.0.set_field(-2, name);
    }

    fn number(self, name: &CStr, number: f64) {
        self.0.push_number(number);
        self.0.set_field(-2, name);
    }
}

fn libraries_of(guard: &Guard) -> Result<Vec<LibraryInfo>, Failed> {
    let dispatcher = guard.state().dispatcher;
    // SAFETY: in a function that Lua called.
    unsafe { dispatcher.within_lua(|| dispatcher.libraries()) }.map_err(no_memory)
}

/// Returns a list of tables, one per library, in the order of registration.
fn list(lua: *mut ffi::lua_State, fill: fn(Entry, &LibraryInfo)) -> c_int {
    answer(lua, |lua, guard| {
        let libraries = libraries_of(guard)?;
        lua.run(|stack| {
            stack.new_table(0);
            for (at, library) in (1..).zip(&libraries) {
                stack.new_table(0);
                let entry = Entry(stack);
                entry.text(c"name", library.name.as_deref());
                entry.text(c"revision", Some(library.revision));
                entry.count(c"queued", library.queued as u64);
                entry.count(c"waiting", library.waiting as u64);
                entry.count(c"delivered", library.delivered);
                entry.count(c"replied", library.replied);
                entry.count(c"failed", library.failed);
                entry.count(c"cancelled", library.cancelled);
                entry.count(c"refused", library.refused);
                fill(entry, library);
                stack.raw_set_at(1, at);
            }
            1
        })
    })
}

/// `libraries()`: adds what only libraries of later revisions declare.
pub(crate) unsafe extern "C-unwind" fn libraries(lua: *mut ffi::lua_State) -> c_int {
    list(lua, |entry, library| {
        entry.text(c"version", library.version.as_deref());
        entry.text(c"file", library.file.as_deref());
        // A library of an earlier revision always keeps `run` going.
        if library.version.is_some() {
            entry.0.push_boolean(library.keeps_alive);
            entry.0.set_field(-2, c"keeps_alive");
        }
    })
}

/// `stats()`: all figures, and nothing else. Those of a limit only if there is one.
pub(crate) unsafe extern "C-unwind" fn stats(lua: *mut ffi::lua_State) -> c_int {
    list(lua, |entry, library| {
        if library.limits.is_some() {
            entry.count(c"bytes", library.bytes as u64);
            entry.count(c"highwater", library.high_water as u64);
        }
        entry.count(c"dropped", library.dropped);
        entry.count(c"coalesced", library.coalesced);
        entry.count(c"timedout", library.timed_out);
        if let Some(waits) = &library.waits {
            push_histogram(entry.0, waits);
            entry.0.set_field(-2, c"wait");
        }
        if !library.channels.is_empty() {
            push_channels(entry.0, &library.channels);
            entry.0.set_field(-2, c"channels");
        }
    })
}

/// Pushes a list of tables, one per channel except the first. Raises.
fn push_channels(stack: Stack, channels: &[ChannelInfo]) {
    stack.new_table(0);
    let (list, entry) = (stack.top(), Entry(stack));
    for (channel, at) in channels.iter().zip(1..) {
        stack.new_table(0);
        entry.text(c"name", Some(&channel.name));
        entry.count(c"queued", channel.queued as u64);
        entry.count(c"bytes", channel.bytes as u64);
        entry.count(c"highwater", channel.high_water as u64);
        entry.count(c"refused", channel.refused);
        entry.count(c"dropped", channel.dropped);
        entry.count(c"coalesced", channel.coalesced);
        entry.count(c"timedout", channel.timed_out);
        stack.raw_set_at(list, at);
    }
}

/// Pushes a histogram in seconds. Each bucket includes all that is in those before it. Raises.
fn push_histogram(stack: Stack, waits: &Histogram) {
    stack.new_table(0);
    let entry = Entry(stack);
    entry.count(c"count", waits.count());
    entry.number(c"sum", seconds(waits.sum()));
    stack.new_table(0);
    let (buckets, mut count) = (stack.top(), 0);
    for (at, counted) in waits.counts().iter().enumerate() {
        count += counted;
        stack.new_table(0);
        entry.number(c"le", Histogram::upper(at).map_or(f64::INFINITY, seconds));
        entry.count(c"count", count);
        stack.raw_set_at(buckets, at as c_int + 1);
    }
    stack.set_field(-2, c"buckets");
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// `metrics()`: the same as OpenMetrics text.
pub(crate) unsafe extern "C-unwind" fn metrics(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| lua.push_text(&metrics::text(&libraries_of(guard)?)?))
}
