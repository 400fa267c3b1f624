//! Holds, which keep `run()` going.

use std::fmt;

use crate::error::LibraryError;
use crate::library::Library;

/// Keeps Lua's `run()` going until it is dropped. Put one into each open thing, such as a watcher or a server, of a
/// library that says `keep_alive: false`. Any thread may keep and drop it.
///
/// ```
/// use dss_abi_v2::{object, Hold, Library, Result};
///
/// struct Server {
///     _hold: Hold, // `run()` goes on while Lua has the server
/// }
///
/// object! { Server as "server" }
///
/// fn serve(library: &Library) -> Result<Server> {
///     Ok(Server { _hold: library.hold()? })
/// }
/// ```
#[must_use = "`run()` is kept going until this is dropped"]
pub struct Hold(Library);

impl Library {
    /// Keeps Lua's `run()` going until the [`Hold`] is dropped or the library is unregistered. [any-thread]
    ///
    /// ```
    /// # #[cfg(feature = "testing")] {
    /// # let state = dss_abi_v2::testing::TestState::new();
    /// # let library = state.library();
    /// let hold = library.hold().unwrap();
    /// assert_eq!(state.holds(), 1);
    /// drop(hold);
    /// assert_eq!(state.holds(), 0);
    /// # }
    /// ```
    ///
    /// # Errors
    /// The library is no longer registered.
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
