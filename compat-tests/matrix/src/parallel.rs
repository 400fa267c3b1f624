//! Mapping a function over a list, several items at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work` with each index and item, `jobs` at a time. The results are in the order of the items.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(index, item);
                    *results[index].lock().expect("nobody panics with it") = Some(result);
                }
            });
        }
    });
    let taken = |one: Mutex<Option<R>>| one.into_inner().expect("nobody panicked with it");
    results.into_iter().map(|one| taken(one).expect("each was worked on")).collect()
}
