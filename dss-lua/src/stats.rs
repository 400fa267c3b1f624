//! `libraries()`, `stats()` and `metrics()`: what the libraries of the state count.

use dss_impl::histogram::Histogram;
use dss_impl::library::LibraryInfo;
use dss_impl::metrics;
use dss_impl::states::StateRef;
use mlua::prelude::*;

use crate::functions::Answer;

/// A list of tables, one a library, in the order of registration.
fn list(
    lua: &Lua,
    state: StateRef,
    fill: impl Fn(&LuaTable, &LibraryInfo) -> LuaResult<()>,
) -> Answer<LuaTable> {
    let build = || -> LuaResult<LuaTable> {
        let list = lua.create_table()?;
        for library in state.dispatcher.libraries() {
            let entry = lua.create_table()?;
            entry.raw_set("name", library.name.as_deref())?;
            entry.raw_set("revision", library.revision)?;
            entry.raw_set("queued", library.queued)?;
            entry.raw_set("waiting", library.waiting)?;
            entry.raw_set("delivered", library.delivered)?;
            entry.raw_set("replied", library.replied)?;
            entry.raw_set("failed", library.failed)?;
            entry.raw_set("cancelled", library.cancelled)?;
            entry.raw_set("refused", library.refused)?;
            fill(&entry, &library)?;
            list.raw_push(entry)?;
        }
        Ok(list)
    };
    build().map_err(|error| error.to_string())
}

/// `libraries()`: with what only later revisions say of themselves.
pub(crate) fn libraries(lua: &Lua, state: StateRef) -> Answer<LuaTable> {
    list(lua, state, |entry, library| {
        entry.raw_set("version", library.version.as_deref())?;
        entry.raw_set("file", library.file.as_deref())?;
        // Whoever has no word for it keeps `run` going.
        entry.raw_set("keeps_alive", library.version.as_ref().map(|_| library.keeps_alive))
    })
}

/// `stats()`: the figures alone, all of them; those of a bound only where there is one.
pub(crate) fn stats(lua: &Lua, state: StateRef) -> Answer<LuaTable> {
    list(lua, state, |entry, library| {
        let bound = library.limits.as_ref();
        entry.raw_set("bytes", bound.map(|_| library.bytes))?;
        entry.raw_set("highwater", bound.map(|_| library.high_water))?;
        entry.raw_set("dropped", library.dropped)?;
        entry.raw_set("coalesced", library.coalesced)?;
        entry.raw_set("timedout", library.timed_out)?;
        let waits = library.waits.as_ref().map(|waits| histogram(lua, waits)).transpose()?;
        entry.raw_set("wait", waits)
    })
}

/// A histogram in seconds, each bucket with all that is in those before it.
fn histogram(lua: &Lua, waits: &Histogram) -> LuaResult<LuaTable> {
    let buckets = lua.create_table()?;
    let mut count = 0;
    for (at, counted) in waits.counts().iter().enumerate() {
        count += counted;
        let bucket = lua.create_table()?;
        bucket.raw_set("le", Histogram::upper(at).map_or(f64::INFINITY, seconds))?;
        bucket.raw_set("count", count)?;
        buckets.raw_push(bucket)?;
    }
    let table = lua.create_table()?;
    table.raw_set("count", waits.count())?;
    table.raw_set("sum", seconds(waits.sum()))?;
    table.raw_set("buckets", buckets)?;
    Ok(table)
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// `metrics()`: the same as OpenMetrics text.
pub(crate) fn metrics(state: StateRef) -> String {
    metrics::text(&state.dispatcher.libraries())
}
