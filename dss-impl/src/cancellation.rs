//! Work during which `pthread_cancel` does not end the thread: the cancellation waits until the work is over.

use std::time::Duration;

/// Runs `work`. The current thread is not cancelled meanwhile.
#[cfg(all(unix, not(target_os = "android"), not(miri)))]
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
        // SAFETY: as above; this restores the state that the thread had.
        unsafe { pthread_setcancelstate(before, &raw mut before) };
    }
    result
}

/// Android, Windows and Miri have no `pthread_cancel`.
#[cfg(not(all(unix, not(target_os = "android"), not(miri))))]
pub(crate) fn uncancelled<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// Sleeps without being cancelled: the system's sleep functions are cancellation points.
pub(crate) fn sleep(duration: Duration) {
    uncancelled(|| std::thread::sleep(duration));
}
