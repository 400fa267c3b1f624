//! Threads of DSS's own. The standard library ends the process if there is no memory for what it keeps of a thread.

use std::ffi::CStr;

use crate::memory::OutOfMemory;

/// Starts a thread that nobody joins, with a name of 15 bytes at most. It runs `run` of `of`, which calls no Lua.
///
/// # Errors
/// There is no memory for a thread, or the process may have no more.
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

    // An exception out of a library's code, or a panic, ends the process here, with a message.
    extern "C" fn main<T: Sync + 'static>(work: *mut c_void) -> *mut c_void {
        // SAFETY: `start` made it, for this call.
        let Work(of, run) = *unsafe { Box::from_raw(work.cast::<Work<T>>()) };
        run(of);
        null_mut()
    }

    let work = Box::into_raw(try_box(Work(of, run))?);
    let mut thread = MaybeUninit::uninit();
    let failed = without_signals(|| {
        // SAFETY: the thread's number is written there, and the work is the thread's.
        unsafe { libc::pthread_create(thread.as_mut_ptr(), null(), main::<T>, work.cast()) }
    });
    if failed != 0 {
        // SAFETY: no thread has it.
        drop(unsafe { Box::from_raw(work) });
        return Err(OutOfMemory);
    }
    // SAFETY: it was written.
    let thread = unsafe { thread.assume_init() };
    #[cfg(target_os = "linux")]
    // SAFETY: it runs, and is not detached.
    unsafe {
        libc::pthread_setname_np(thread, name.as_ptr())
    };
    #[cfg(not(target_os = "linux"))]
    let _ = name;
    // SAFETY: nobody joins it.
    unsafe { libc::pthread_detach(thread) };
    Ok(())
}

/// Runs `work`, during which this thread gets no signals: a thread that is started there gets none at all. A signal for the process is one for a
/// thread of the program's, which may have arranged for it; here it would do what it does by default.
#[cfg(unix)]
fn without_signals<R>(work: impl FnOnce() -> R) -> R {
    use std::mem::MaybeUninit;

    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: it is written there.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the one was written, and the other is written.
    let changed = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) } == 0;
    let result = work();
    if changed {
        // SAFETY: it was written; the mask is the one that the thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    result
}

/// The same.
///
/// # Errors
/// As above.
#[cfg(not(unix))]
pub(crate) fn start<T: Sync + 'static>(
    _: &CStr,
    of: &'static T,
    run: fn(&'static T),
) -> Result<(), OutOfMemory> {
    std::thread::Builder::new().spawn(move || run(of)).map(drop).map_err(|_| OutOfMemory)
}
