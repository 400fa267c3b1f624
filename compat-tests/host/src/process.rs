//! Child processes that are copies of this one.

use crate::lua::{self, State};
use crate::object::{Reply, reply};
use crate::os::seconds;
use std::ffi::{CStr, c_int};

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] = &[(c"fork", fork), (c"waitpid", waitpid)];

/// `host.fork() -> number`: forks. Returns 0 in the child, which has a copy of all memory but only this thread, and the child's
/// process ID in the parent.
unsafe extern "C-unwind" fn fork(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe { reply(l, forked) }
}

/// `host.waitpid(pid, seconds) -> "exited", code`, or `"killed", signal`, or `"hung"`: waits until the child has ended. If the
/// child is still running after `seconds`, it is killed.
unsafe extern "C-unwind" fn waitpid(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing.
    unsafe {
        let pid = lua::checkinteger(l, 1);
        let limit = lua::checknumber(l, 2);
        reply(l, move || ended(pid, limit))
    }
}

#[cfg(unix)]
fn forked() -> Reply {
    use crate::value::Value;
    // SAFETY: the child continues with a copy of this thread only, and no other thread holds a lock of the host.
    match unsafe { libc::fork() } {
        -1 => Err(format!("no child: {}", std::io::Error::last_os_error())),
        pid => Ok(vec![Value::count(u64::try_from(pid).map_err(|error| error.to_string())?)]),
    }
}

#[cfg(unix)]
fn ended(pid: lua::Integer, limit: f64) -> Reply {
    use crate::value::Value;
    use std::time::{Duration, Instant};
    let pid = libc::pid_t::try_from(pid).ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or("not the number of a process")?;
    let limit = seconds(limit)?.ok_or("a wait for a child has to end")?;
    let deadline = Instant::now() + limit;
    let mut status = 0;
    loop {
        // SAFETY: the status outlives the call.
        match unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } {
            -1 => return Err(format!("no child {pid}: {}", std::io::Error::last_os_error())),
            0 if Instant::now() >= deadline => {
                // SAFETY: the child has not been waited for, so the number still belongs to it.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, &mut status, 0);
                }
                return Ok(vec!["hung".into()]);
            }
            0 => std::thread::sleep(Duration::from_micros(200)),
            _ if libc::WIFSIGNALED(status) => {
                return Ok(vec!["killed".into(), Value::count(libc::WTERMSIG(status).unsigned_abs().into())]);
            }
            _ => {
                return Ok(vec![
                    "exited".into(),
                    Value::count(libc::WEXITSTATUS(status).unsigned_abs().into()),
                ]);
            }
        }
    }
}

#[cfg(not(unix))]
fn forked() -> Reply {
    Err("no process can be forked on this OS".into())
}

#[cfg(not(unix))]
fn ended(_: lua::Integer, _: f64) -> Reply {
    Err("no process can be forked on this OS".into())
}
