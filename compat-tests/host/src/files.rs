//! Folders for tests, made and removed without a shell, because each system has another.

use crate::lua::{self, State};
use crate::object::{self, Reply, reply};
use crate::value::Value;
use std::ffi::{CStr, c_int};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) const FUNCTIONS: &[(&CStr, lua::Function)] =
    &[(c"newfolder", newfolder), (c"removefolder", removefolder)];

/// `host.newfolder([parent]) -> path`: makes a new folder, in `parent` or among the system's temporary files.
unsafe extern "C-unwind" fn newfolder(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the path is on the stack.
    unsafe {
        let parent = if lua::gettop(l) == 0 { None } else { Some(object::string(l, 1)) };
        reply(l, move || made(parent))
    }
}

/// `host.removefolder(path)`: removes a folder with everything in it.
unsafe extern "C-unwind" fn removefolder(l: *mut State) -> c_int {
    // SAFETY: the frame owns nothing; the path is on the stack.
    unsafe {
        let path = object::string(l, 1);
        reply(l, move || removed(path))
    }
}

fn made(parent: Option<&[u8]>) -> Reply {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let parent = parent.map_or_else(|| Ok(std::env::temp_dir()), path)?;
    loop {
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("dss-test-{}-{number}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(vec![Value::String(path.into_os_string().into_encoded_bytes())]),
            // Left behind by an earlier process with this number.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path, &error)),
        }
    }
}

fn removed(folder: &[u8]) -> Reply {
    let path = path(folder)?;
    std::fs::remove_dir_all(&path).map_err(|error| failed(&path, &error))?;
    Ok(Vec::new())
}

fn path(bytes: &[u8]) -> Result<PathBuf, String> {
    std::str::from_utf8(bytes).map(PathBuf::from).map_err(|error| error.to_string())
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
