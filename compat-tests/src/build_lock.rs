//! The build lock: one process or thread builds in a folder at a time.
//!
//! Cargo's own lock is not enough. Cargo releases it before the files that it built for one Lua are copied away, and the
//! next build, for another Lua, writes its files under the same names.

use std::fs::{self, File};
use std::path::Path;

use fs4::FileExt;

/// Holds the build lock of a folder. Other processes and threads wait until it is dropped.
#[derive(Debug)]
#[must_use = "the lock is released when it is dropped"]
pub struct BuildLock(#[expect(dead_code, reason = "the lock ends when its file is closed")] File);

impl BuildLock {
    /// Waits until nobody else builds in `folder`, and takes the lock. The lock is not reentrant: a thread that already
    /// holds it waits forever.
    ///
    /// # Panics
    /// The folder cannot be written to, or its file system does not support locks.
    pub fn acquire(folder: &Path) -> BuildLock {
        let path = folder.join("build-lock");
        let file = fs::create_dir_all(folder)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
            .unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()));
        FileExt::lock(&file).unwrap_or_else(|error| panic!("{} cannot be locked: {error}", path.display()));
        BuildLock(file)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::artefacts::target;

    #[test]
    fn a_second_waits_until_the_first_is_done() {
        let folder = target().join("build-lock-test");
        let (done, order) = mpsc::channel();
        let first = BuildLock::acquire(&folder);
        let second = thread::spawn({
            let (folder, done) = (folder.clone(), done.clone());
            move || {
                let second = BuildLock::acquire(&folder);
                done.send("second").expect("the test waits for it");
                drop(second);
            }
        });
        // Another handle of the file cannot be locked while the first one is.
        let file = File::options().write(true).open(folder.join("build-lock")).expect("it was just made");
        assert!(FileExt::try_lock(&file).is_err());
        done.send("first").expect("the test has the other end");
        drop(first);
        second.join().expect("it gets the lock");
        drop(done);
        assert_eq!(order.iter().collect::<Vec<_>>(), ["first", "second"]);
    }
}
