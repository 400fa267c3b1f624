//! What keeps `run()` going.

use std::fmt;

use crate::error::LibraryError;
use crate::library::Library;

/// Keeps `run()` going for as long as it is held: for what is open now and then, a watcher or a server, in a library that
/// says `keep_alive: false`. Any thread may hold and drop it.
#[must_use = "`run()` is kept going until this is dropped"]
pub struct Hold(Library);

impl Library {
    /// Has `run()` go on until what this gives is dropped, or the library is unregistered. [any-thread]
    ///
    /// # Errors
    /// The library is not registered any more.
    pub fn hold(&self) -> Result<Hold, LibraryError> {
        self.service.hold(self.handle).into_result().map(|()| Hold(*self)).map_err(LibraryError::from)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.service.let_go(self.0.handle);
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({:#x})", self.0.handle)
    }
}
