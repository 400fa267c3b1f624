//! Time, processes and limits.

use crate::lua::{self, State};
use crate::object::{self, Reply, reply};
use crate::value::Value;
use std::ffi::{CStr, c_int};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[
    (c"sleep", sleep),
    (c"now", now),
    (c"pid", pid),
    (c"kill", kill),
    (c"setrlimit", setrlimit),
    (c"rss", rss),
    (c"bits", bits),
    (c"readable", readable),
    (c"closefd", closefd),
];

/// A time in seconds from Lua. `None` if it is infinite or too long for a `Duration`.
pub(crate) fn seconds(value: f64) -> Result<Option<Duration>, String> {
    if value.is_nan() || value < 0.0 {
        return Err(format!("{value} is not a time in seconds"));
    }
    Ok(Duration::try_from_secs_f64(value).ok())
}

/// `host.sleep(seconds)`.
unsafe extern "C-unwind" fn sleep(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let value = lua::checknumber(l, 1);
        reply(l, move || {
            let time = seconds(value)?.ok_or("a sleep has to end")?;
            std::thread::sleep(time);
            Ok(Vec::new())
        })
    }
}

/// `host.now() -> seconds`: a monotonic clock. All states of the process share its origin.
unsafe extern "C-unwind" fn now(l: *mut State) -> c_int {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // SAFETY: the frame owns nothing.
    unsafe { lua::pushnumber(l, start.elapsed().as_secs_f64()) }
    1
}

/// `host.pid() -> number`.
unsafe extern "C-unwind" fn pid(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, || Ok(vec![Value::count(std::process::id().into())])) }
}

/// `host.kill(pid, signal) -> true`, or `nil, message`: sends a signal by its number.
unsafe extern "C-unwind" fn kill(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let pid = lua::checkinteger(l, 1);
        let signal = lua::checkinteger(l, 2);
        reply(l, move || send_signal(pid, signal))
    }
}

/// `host.setrlimit(name, soft) -> number`: sets the soft limit of "as" (bytes of address space) or "nofile" (open
/// files), and returns the previous one. `math.huge` means no limit, in both directions.
unsafe extern "C-unwind" fn setrlimit(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the name is on the stack.
    unsafe {
        let name = object::string(l, 1);
        let soft = lua::checknumber(l, 2);
        reply(l, move || set_limit(name, soft))
    }
}

/// `host.rss() -> number`: the resident memory of the process in bytes, or nil if that is unknown.
unsafe extern "C-unwind" fn rss(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, || Ok(vec![resident().map_or(Value::Nil, Value::count)])) }
}

/// `host.bits() -> number`: the width of an address, 64 or 32.
unsafe extern "C-unwind" fn bits(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, || Ok(vec![Value::count(usize::BITS.into())])) }
}

/// `host.readable(descriptor, seconds) -> boolean`, or `nil, "closed"`: waits until it is readable, like a loop does.
unsafe extern "C-unwind" fn readable(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let descriptor = lua::checkinteger(l, 1);
        let limit = lua::checknumber(l, 2);
        reply(l, move || wait_readable(descriptor, seconds(limit)?.ok_or("a wait has to end")?))
    }
}

/// `host.closefd(descriptor) -> true`, or `nil, message`: closes a descriptor, even if something else opened it.
unsafe extern "C-unwind" fn closefd(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let descriptor = lua::checkinteger(l, 1);
        reply(l, move || close(descriptor))
    }
}

#[cfg(unix)]
fn wait_readable(descriptor: lua::Integer, limit: Duration) -> Reply {
    let fd = c_int::try_from(descriptor).map_err(|_| format!("{descriptor} is not a descriptor"))?;
    let mut wanted = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let milliseconds = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one record, which outlives the call.
    let ready = unsafe { libc::poll(&raw mut wanted, 1, milliseconds) };
    if ready < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    if wanted.revents & libc::POLLNVAL != 0 {
        return Ok(vec![Value::Nil, "closed".into()]);
    }
    Ok(vec![(ready > 0).into()])
}

#[cfg(unix)]
fn close(descriptor: lua::Integer) -> Reply {
    let fd = c_int::try_from(descriptor).map_err(|_| format!("{descriptor} is not a descriptor"))?;
    // SAFETY: the test promises that nothing uses it, or tests what happens then.
    Ok(match unsafe { libc::close(fd) } {
        0 => vec![true.into()],
        _ => vec![Value::Nil, std::io::Error::last_os_error().to_string().into()],
    })
}

#[cfg(not(unix))]
fn wait_readable(_: lua::Integer, _: Duration) -> Reply {
    Err("there are no such descriptors on this OS".into())
}

#[cfg(not(unix))]
fn close(_: lua::Integer) -> Reply {
    Err("there are no such descriptors on this OS".into())
}

#[cfg(unix)]
fn send_signal(pid: lua::Integer, signal: lua::Integer) -> Reply {
    let pid = libc::pid_t::try_from(pid).map_err(|_| format!("{pid} is not a process"))?;
    let signal = c_int::try_from(signal).map_err(|_| format!("{signal} is not a signal"))?;
    // SAFETY: the call takes numbers only, and returns an error for invalid ones.
    Ok(match unsafe { libc::kill(pid, signal) } {
        0 => vec![true.into()],
        _ => vec![Value::Nil, std::io::Error::last_os_error().to_string().into()],
    })
}

#[cfg(unix)]
fn set_limit(name: &[u8], soft: f64) -> Reply {
    let resource = match name {
        b"as" => libc::RLIMIT_AS,
        b"nofile" => libc::RLIMIT_NOFILE,
        _ => return Err(format!("there is no limit named {:?}", String::from_utf8_lossy(name))),
    };
    if soft.is_nan() || soft < 0.0 {
        return Err(format!("{soft} is not a limit"));
    }
    let failed = |_| std::io::Error::last_os_error().to_string();
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit outlives the call.
    check(unsafe { libc::getrlimit(resource, &mut limit) }).map_err(failed)?;
    let old = limit.rlim_cur;
    limit.rlim_cur = if soft.is_infinite() { libc::RLIM_INFINITY } else { soft as libc::rlim_t };
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(resource, &limit) }).map_err(failed)?;
    #[allow(clippy::unnecessary_cast)] // its width depends on the system
    Ok(vec![match old {
        libc::RLIM_INFINITY => Value::Number(f64::INFINITY),
        old => Value::count(old as u64),
    }])
}

#[cfg(unix)]
fn check(status: c_int) -> Result<(), c_int> {
    if status == 0 { Ok(()) } else { Err(status) }
}

#[cfg(not(unix))]
fn send_signal(_: lua::Integer, _: lua::Integer) -> Reply {
    Err("there are no signals on this OS".into())
}

#[cfg(not(unix))]
fn set_limit(_: &[u8], _: f64) -> Reply {
    Err("there are no such limits on this OS".into())
}

#[cfg(target_os = "linux")]
fn resident() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: the call takes only a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * u64::try_from(size).ok()?)
}

#[cfg(windows)]
fn resident() -> Option<u64> {
    /// The system's `PROCESS_MEMORY_COUNTERS`.
    #[repr(C)]
    #[derive(Default)]
    struct Counters {
        size: u32,
        faults: u32,
        peak: usize,
        resident: usize,
        further: [usize; 6],
    }
    #[link(name = "kernel32")]
    unsafe extern "system" {
        safe fn GetCurrentProcess() -> *mut std::ffi::c_void;
        fn K32GetProcessMemoryInfo(process: *mut std::ffi::c_void, counters: *mut Counters, size: u32)
        -> i32;
    }
    let size = u32::try_from(size_of::<Counters>()).ok()?;
    let mut counters = Counters { size, ..Counters::default() };
    // SAFETY: the handle is this process's own. The counters outlive the call and have the given size.
    let known = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &mut counters, size) };
    (known != 0).then_some(counters.resident as u64)
}

#[cfg(not(any(windows, target_os = "linux")))]
fn resident() -> Option<u64> {
    None
}

/// Restores the default action of SIGPIPE, as in a plain `lua`. Rust ignores the signal, which would hide a module's mistakes.
pub(crate) fn restore_signals() {
    #[cfg(unix)]
    // SAFETY: this runs before other threads are started, and installs no handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
