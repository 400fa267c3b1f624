//! What a thread does without being cancelled by `pthread_cancel`: that waits until it is over.

use std::time::Duration;

/// Runs `work`, in which the running thread is not cancelled.
#[cfg(all(unix, not(target_os = "android")))]
pub(crate) fn uncancelled<R>(work: impl FnOnce() -> R) -> R {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    }
    const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    let mut before = 0;
    // SAFETY: the place is writable.
    let known = unsafe { pthread_setcancelstate(DISABLE, &raw mut before) } == 0;
    let result = work();
    if known {
        // SAFETY: as above; the state is the one that the thread had.
        unsafe { pthread_setcancelstate(before, &raw mut before) };
    }
    result
}

/// Android and Windows have no `pthread_cancel`.
#[cfg(not(all(unix, not(target_os = "android"))))]
pub(crate) fn uncancelled<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Sleeps. The system's sleeps are points of cancellation.
pub(crate) fn sleep(duration: Duration) {
    uncancelled(|| std::thread::sleep(duration));
}
