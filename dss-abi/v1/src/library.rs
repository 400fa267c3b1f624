//! A registered library.

use std::fmt;
use std::sync::atomic::AtomicU8;

use crate::contract::{Code, RawDelivery, ServiceObject};
use crate::delivery::{into_raw, reclaim, Delivery, Refused};
use crate::error::{Announced, UnregisterError};
use crate::request::{self, Answer, Request};

/// The identity of a library: its name and its address. It must be a `static`, so that it is the same in all Lua
/// states.
///
/// ```
/// use dss_abi_v1::LibraryId;
///
/// static TICKER: LibraryId = LibraryId::new("ticker");
/// ```
#[derive(Debug)]
pub struct LibraryId {
    name: &'static str,
    /// Prevents the compiler from promoting `&CONST` to a `static`, which could have another address.
    _place: AtomicU8,
}

impl LibraryId {
    /// Makes an identity with a name.
    ///
    /// ```
    /// # use dss_abi_v1::LibraryId;
    /// static WATCHER: LibraryId = LibraryId::new("watcher");
    /// ```
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        LibraryId { name, _place: AtomicU8::new(0) }
    }

    /// The name.
    ///
    /// ```
    /// # use dss_abi_v1::LibraryId;
    /// static WATCHER: LibraryId = LibraryId::new("watcher");
    /// assert_eq!(WATCHER.name(), "watcher");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn address(&'static self) -> usize {
        self as *const LibraryId as usize
    }
}

/// A library that is registered in one Lua state. Any thread may keep, copy and use it. When the library is
/// unregistered or the state is closed, every later use is refused.
///
/// ```no_run
/// use dss_abi_v1::{Delivery, Library};
/// use std::sync::mpsc::Receiver;
///
/// fn forward<D: Delivery>(library: Library, items: Receiver<D>) {
///     std::thread::spawn(move || {
///         for item in items {
///             if library.deliver(item).is_err() {
///                 break; // the library is unregistered, or the state has closed
///             }
///         }
///     });
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Library {
    pub(crate) service: &'static ServiceObject,
    pub(crate) handle: usize,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Library({:#x})", self.handle)
    }
}

impl PartialEq for Library {
    fn eq(&self, other: &Self) -> bool {
        self.handle == other.handle
    }
}

impl Eq for Library {}

impl Library {
    /// Queues one item, and returns immediately. [any-thread]
    ///
    /// When Lua takes the item, it is decoded on the Lua thread, and then dropped. If it is cancelled before,
    /// [`Delivery::cancelled`] is called instead of decode, on the thread that cancels.
    ///
    /// ```no_run
    /// # use std::os::raw::c_void;
    /// # extern "C" {
    /// #     fn lua_rawgeti(lua: *mut c_void, index: i32, reference: i64) -> i32;
    /// # }
    /// # const LUA_REGISTRYINDEX: i32 = -1_001_000;
    /// use dss_abi_v1::{Library, LuaState};
    ///
    /// /// Has Lua call the function with this reference, without arguments.
    /// fn call(library: &Library, callback: i64) -> bool {
    ///     let decode = move |lua: LuaState| unsafe {
    ///         lua_rawgeti(lua.as_ptr(), LUA_REGISTRYINDEX, callback);
    ///         Ok(1)
    ///     };
    ///     library.deliver(decode).is_ok()
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refused`] contains the item and the reason.
    pub fn deliver<D: Delivery>(&self, delivery: D) -> Result<Announced, Refused<D>> {
        let raw = into_raw(delivery);
        match self.service.deliver(self.handle, raw).into_result() {
            Ok(accepted) => Ok(Announced::new(accepted.announced)),
            Err(code) => {
                // SAFETY: `raw` was made from a `D` two lines above, and a delivery that is refused was not touched.
                let delivery = unsafe { reclaim::<D>(raw) };
                Err(Refused { reason: code.into(), delivery })
            }
        }
    }

    /// Queues one item and waits until it has ended. [any-thread] `[blocks]`
    ///
    /// ```no_run
    /// use dss_abi_v1::{Answer, Library, Request};
    ///
    /// fn ask<R: Request<Answer = String>>(library: &Library, question: R) -> Option<String> {
    ///     match library.deliver_and_wait(question) {
    ///         Ok(Answer::Replied(text)) => Some(text),
    ///         _ => None,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refused`] contains the item and the reason. On the Lua thread, which would wait for itself, the reason is
    /// [`DeliverError::WouldDeadlock`](crate::DeliverError::WouldDeadlock). The Lua thread is the thread that last
    /// entered DSS through Lua in that state, for example by `poll`, `dispatch` or `wait`, even if Lua does not run
    /// at the moment.
    pub fn deliver_and_wait<R: Request>(&self, request: R) -> Result<Answer<R::Answer>, Refused<R>> {
        request::wait(request, |raw| self.wait_raw(raw))
    }

    fn wait_raw(&self, raw: RawDelivery) -> Result<u32, Code> {
        self.service.deliver_and_wait(self.handle, raw).into_result().map(|accepted| accepted.ended)
    }

    /// Unregisters the library from its Lua state. It cancels all queued items and all waiting requests, on the
    /// calling thread. [any-thread] `[blocks]` while another thread runs the library's code for that state
    ///
    /// When it returns, none of the library's code runs for that state. There are two exceptions: calls that the
    /// calling thread is inside of, and the library's closing function, which may be waiting for the calling thread.
    ///
    /// ```no_run
    /// fn stop(library: dss_abi_v1::Library) {
    ///     if let Err(error) = library.unregister() {
    ///         eprintln!("{}", error);
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// The library is no longer registered, or another thread is unregistering it.
    pub fn unregister(&self) -> Result<(), UnregisterError> {
        self.service.unregister(self.handle).into_result().map_err(UnregisterError::from)
    }
}
