//! Spare memory: producers take blocks while the Lua thread hands some over, and no block is given to two.

use std::alloc::Layout;
use std::collections::HashSet;
use std::ptr::NonNull;

use dss_impl::spares::{Spares, free};
use loom::sync::Arc;
use loom::thread;

const LAYOUT: Layout = Layout::new::<u64>();

fn take(spares: &Spares) -> usize {
    spares.allocate(LAYOUT).expect("there is memory").as_ptr().expose_provenance()
}

fn block(address: usize) -> NonNull<u8> {
    NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(address)).expect("not NULL")
}

#[test]
fn no_block_is_given_to_two_producers() {
    loom::model(|| {
        let spares = Arc::new(Spares::new());
        let ended = [take(&spares), take(&spares), take(&spares)];
        // In a model, each hands over the one before it.
        unsafe { spares.keep(block(ended[0]), LAYOUT) };
        let producers = [(); 2].map(|()| {
            let spares = Arc::clone(&spares);
            thread::spawn(move || take(&spares))
        });
        unsafe { spares.keep(block(ended[1]), LAYOUT) };
        unsafe { spares.keep(block(ended[2]), LAYOUT) };
        let taken = producers.map(|producer| producer.join().expect("it does not panic"));
        assert_eq!(HashSet::from(taken).len(), 2, "both have the same");
        taken.iter().for_each(|taken| unsafe { free(block(*taken), LAYOUT) });
    });
}
