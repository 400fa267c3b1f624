//! The descriptor notifier: a descriptor that is readable while items are queued.

use std::io;

use super::Notifier;
use crate::memory::{OutOfMemory, Shared};
use crate::pair::Pair;

/// A descriptor for a program's loop. DSS makes it readable, and clears it when Lua polls. The program only waits for it. DSS owns it, and
/// closes it with the last clone of this.
#[derive(Clone)]
pub struct DescriptorNotifier(Shared<Pair>);

/// Why there is no descriptor.
#[derive(Debug)]
pub enum NoDescriptor {
    /// The system refused to make one.
    Refused(io::Error),
    /// There is no memory.
    OutOfMemory,
}

impl From<OutOfMemory> for NoDescriptor {
    fn from(_: OutOfMemory) -> Self {
        NoDescriptor::OutOfMemory
    }
}

impl DescriptorNotifier {
    /// Makes a descriptor.
    ///
    /// # Errors
    /// See [`NoDescriptor`].
    pub fn new() -> Result<Self, NoDescriptor> {
        let pair = Pair::new().map_err(NoDescriptor::Refused)?;
        Ok(DescriptorNotifier(Shared::try_new(pair)?))
    }
}

impl Notifier for DescriptorNotifier {
    fn notify(&self, _: usize) -> io::Result<()> {
        self.0.write()
    }

    fn clear(&self) {
        self.0.clear();
    }

    /// A file descriptor, or a socket's handle on Windows.
    fn descriptor(&self) -> Option<i64> {
        self.0.is_open().then(|| self.0.number() as i64)
    }
}
