//! One builds at a time: cargo's own lock is gone before what it built for one Lua is copied away, and the next build, for
//! another Lua, puts its files under the same names.

use std::fs::{self, File};
use std::path::Path;

use fs4::FileExt;

/// What was built in a folder stays as it is while this lives: other processes, and other threads, wait.
#[derive(Debug)]
#[must_use = "the turn ends when it is dropped"]
pub struct Turn(#[expect(dead_code, reason = "the lock ends when its file is closed")] File);

impl Turn {
    /// Waits until nobody else builds in `folder`. A thread that has its turn there waits for itself forever.
    ///
    /// # Panics
    /// The folder cannot be written to, or its file system knows no locks.
    pub fn wait(folder: &Path) -> Turn {
        let path = folder.join("turn");
        let file = fs::create_dir_all(folder)
            .and_then(|()| File::options().create(true).truncate(false).write(true).open(&path))
            .unwrap_or_else(|error| panic!("{} cannot be opened: {error}", path.display()));
        FileExt::lock(&file).unwrap_or_else(|error| panic!("{} cannot be locked: {error}", path.display()));
        Turn(file)
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
        let folder = target().join("turn-test");
        let (done, order) = mpsc::channel();
        let first = Turn::wait(&folder);
        let second = thread::spawn({
            let (folder, done) = (folder.clone(), done.clone());
            move || {
                let second = Turn::wait(&folder);
                done.send("second").expect("the test waits for it");
                drop(second);
            }
        });
        // Whoever opens the file gets no lock while the first has it.
        let file = File::options().write(true).open(folder.join("turn")).expect("it was just made");
        assert!(FileExt::try_lock(&file).is_err());
        done.send("first").expect("the test has the other end");
        drop(first);
        second.join().expect("it gets its turn");
        drop(done);
        assert_eq!(order.iter().collect::<Vec<_>>(), ["first", "second"]);
    }
}
