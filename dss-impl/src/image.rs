//! Images. A library that registered stays mapped until the process ends, even if Lua unloads its module.
//!
//! Lua 5.1 and LuaJIT unload a C module when its state closes, in the order in which they collect objects. A thread or a
//! cancel function of that library would then run in memory that is gone.

use std::path::PathBuf;

/// Pins the image that contains `address`. Does nothing if the system cannot do that, or if the address is in the program itself, which is
/// never unmapped. [any-thread]
pub fn pin(address: usize) {
    if address != 0 {
        system::pin(address);
    }
}

/// The file of the image that contains `address`, as it was given to the system's loader; None if the loader does not say. [any-thread]
#[must_use]
pub fn file(address: usize) -> Option<PathBuf> {
    system_file(address)
}

#[cfg(unix)]
fn system_file(address: usize) -> Option<PathBuf> {
    use std::ffi::{CStr, OsStr};
    use std::os::unix::ffi::OsStrExt;

    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    // SAFETY: any address may be passed; `info` is written if the answer is not 0.
    let known = unsafe { libc::dladdr(address as *const std::ffi::c_void, info.as_mut_ptr()) };
    if known == 0 {
        return None;
    }
    // SAFETY: `dladdr` has written it, as the answer says.
    let name = unsafe { info.assume_init() }.dli_fname;
    if name.is_null() {
        return None;
    }
    // SAFETY: the loader's own C string, which exists as long as the image.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

#[cfg(windows)]
fn system_file(address: usize) -> Option<PathBuf> {
    system::file(address)
}

#[cfg(not(any(unix, windows)))]
fn system_file(_address: usize) -> Option<PathBuf> {
    None
}

#[cfg(all(unix, not(target_env = "musl")))]
mod system {
    use std::ffi::c_void;

    pub(super) fn pin(address: usize) {
        let mut info = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
        // SAFETY: any address may be passed; `info` is written if the answer is not 0.
        let known = unsafe { libc::dladdr(address as *const c_void, info.as_mut_ptr()) };
        if known == 0 {
            return;
        }
        // SAFETY: `dladdr` has written it, as the answer says.
        let info = unsafe { info.assume_init() };
        // SAFETY: the name is the loader's, and its image is mapped because this call comes from it. With NOLOAD, none of its code
        // runs.
        let image = unsafe {
            libc::dlopen(info.dli_fname, libc::RTLD_NOLOAD | libc::RTLD_NODELETE | libc::RTLD_LAZY)
        };
        if !image.is_null() {
            // SAFETY: this gives back the reference that `dlopen` took. The effect of NODELETE stays.
            unsafe { libc::dlclose(image) };
        }
    }
}

#[cfg(windows)]
mod system {
    use std::ffi::c_void;

    const FROM_ADDRESS: u32 = 4;
    const PIN: u32 = 1;
    const UNCHANGED: u32 = 2;

    /// Longer than any path on Windows.
    const LONGEST: usize = 0x8000;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetModuleHandleExW(flags: u32, address: *const c_void, module: *mut *mut c_void) -> i32;
        fn GetModuleFileNameW(module: *mut c_void, name: *mut u16, size: u32) -> u32;
    }

    pub(super) fn file(address: usize) -> Option<std::path::PathBuf> {
        use std::os::windows::ffi::OsStringExt;

        let mut module = std::ptr::null_mut();
        // SAFETY: any address may be passed; `module` is written, and its reference count does not change.
        let known =
            unsafe { GetModuleHandleExW(FROM_ADDRESS | UNCHANGED, address as *const c_void, &mut module) };
        if known == 0 {
            return None;
        }
        let mut name = vec![0; LONGEST];
        // SAFETY: the module is loaded, because the address was taken from a call that it makes. The buffer has that size.
        let length = unsafe { GetModuleFileNameW(module, name.as_mut_ptr(), LONGEST as u32) } as usize;
        let whole = length > 0 && length < LONGEST;
        whole.then(|| std::ffi::OsString::from_wide(&name[..length]).into())
    }

    pub(super) fn pin(address: usize) {
        let mut module = std::ptr::null_mut();
        // SAFETY: any address may be passed; `module` is written and not used.
        unsafe { GetModuleHandleExW(FROM_ADDRESS | PIN, address as *const c_void, &mut module) };
    }
}

/// On musl, `dlclose` unmaps nothing. Other systems have no way to pin an image.
#[cfg(not(any(all(unix, not(target_env = "musl")), windows)))]
mod system {
    pub(super) fn pin(_address: usize) {}
}
