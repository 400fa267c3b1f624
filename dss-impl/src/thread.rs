//! DSS's own threads. The standard library would end the process if there is no memory for its record of a thread.

use std::ffi::CStr;

use crate::memory::OutOfMemory;

/// Starts a detached thread, with a name of at most 15 bytes. It calls `run` with `of`, and must call no Lua.
///
/// # Errors
/// There is no memory for a thread, or the process may not have more threads.
#[cfg(unix)]
pub(crate) fn start<T: Sync + 'static>(
    name: &CStr,
    of: &'static T,
    run: fn(&'static T),
) -> Result<(), OutOfMemory> {
    use std::ffi::c_void;
    use std::mem::MaybeUninit;
    use std::ptr::{null, null_mut};

    use crate::memory::try_box;

    /// What the thread runs.
    struct Work<T: 'static>(&'static T, fn(&'static T));

    // An exception from a library's code, or a panic, ends the process here, with a message.
    extern "C" fn main<T: Sync + 'static>(work: *mut c_void) -> *mut c_void {
        // SAFETY: `start` made it, for this call.
        let Work(of, run) = *unsafe { Box::from_raw(work.cast::<Work<T>>()) };
        run(of);
        null_mut()
    }

    let work = Box::into_raw(try_box(Work(of, run))?);
    let mut thread = MaybeUninit::uninit();
    let failed = without_signals(|| {
        // SAFETY: the thread's number is written to `thread`, and the new thread owns the work.
        unsafe { libc::pthread_create(thread.as_mut_ptr(), null(), main::<T>, work.cast()) }
    });
    if failed != 0 {
        // SAFETY: no thread was started, so the work is still this function's.
        drop(unsafe { Box::from_raw(work) });
        return Err(OutOfMemory);
    }
    // SAFETY: the call has written it.
    let thread = unsafe { thread.assume_init() };
    #[cfg(target_os = "linux")]
    // SAFETY: the thread was started, and is not yet detached.
    unsafe {
        libc::pthread_setname_np(thread, name.as_ptr())
    };
    #[cfg(not(target_os = "linux"))]
    let _ = name;
    // SAFETY: the thread was started, and nothing joins it.
    unsafe { libc::pthread_detach(thread) };
    Ok(())
}

/// Runs `work` while this thread blocks all signals. A thread started there inherits that. A signal for the process is meant for one of
/// the program's own threads, which may have set up its mask for that; here it would have its default effect.
#[cfg(unix)]
fn without_signals<R>(work: impl FnOnce() -> R) -> R {
    use std::mem::MaybeUninit;

    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the place is writable.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` has been written, and `before` is writable.
    let changed = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) } == 0;
    let result = work();
    if changed {
        // SAFETY: `before` has been written, and is the mask that the thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    result
}

/// As on Unix, without the name.
///
/// # Errors
/// The thread could not be started.
#[cfg(not(unix))]
pub(crate) fn start<T: Sync + 'static>(
    _: &CStr,
    of: &'static T,
    run: fn(&'static T),
) -> Result<(), OutOfMemory> {
    std::thread::Builder::new().spawn(move || run(of)).map(drop).map_err(|_| OutOfMemory)
}
