//! The dispatcher: registering, taking, unregistering, and libraries that do things from inside their calls.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};

use common::{
    Call, Deliver, Library, data_of, house, open, payload, plain, poll, waiting_for_reply, waiting_thread,
};
use dss_impl::delivery::DeliverError;
use dss_impl::dispatcher::{DecodeEnd, RegisterError, UnregisterError};
use dss_impl::outcome::Outcome;

#[test]
fn a_library_is_registered_once_and_found() {
    let (dispatcher, _, library, handle) = house();
    assert_eq!(library.register(dispatcher, 1), Err(RegisterError::AlreadyRegistered(handle)));
    assert_eq!(library.calls(), [Call::Release(1)], "the registration that was refused is let go of");
    assert_eq!(dispatcher.find(1), Some(handle));
    assert_eq!(dispatcher.find(2), None);
    assert_eq!(dispatcher.registered(), 1);
    dispatcher.unregister(handle).unwrap();
    assert_eq!(library.calls(), [Call::Release(1)]);
    assert_eq!(dispatcher.find(1), None);
    assert_eq!(dispatcher.registered(), 0);
    assert_eq!(dispatcher.unregister(handle), Err(UnregisterError::InvalidHandle));
}

#[test]
fn a_state_that_is_full_says_so_and_has_room_again() {
    let (dispatcher, epoch) = open();
    let library = Library::new();
    let mut libid = 0;
    let refusal = loop {
        libid += 1;
        if let Err(error) = library.register(dispatcher, libid) {
            break error;
        }
    };
    assert_eq!(refusal, RegisterError::Full);
    assert_eq!(library.calls(), [Call::Release(libid)]);
    dispatcher.unregister(dispatcher.find(1).unwrap()).unwrap();
    library.register(dispatcher, libid).unwrap();
    unsafe { dispatcher.close(epoch) };
    assert!(dispatcher.claim());
}

#[test]
fn a_poll_says_how_much_remains() {
    let (dispatcher, _, library, handle) = house();
    for data in 0..3 {
        dispatcher.deliver_plain(handle, payload(data)).unwrap();
    }
    for (data, remaining) in [(0, 2), (1, 1), (2, 0)] {
        let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
        assert_eq!((taken.handle, data_of(&taken.payload)), (handle, data));
        let decoded = dispatcher.decoded(&taken, DecodeEnd::Values);
        assert_eq!((decoded.reply, decoded.remaining), (false, remaining));
    }
    assert!(unsafe { dispatcher.take_one() }.unwrap().is_none());
    assert_eq!(library.calls(), [0, 1, 2].map(Call::Finish));
}

#[test]
fn a_decode_that_failed_ends_its_item() {
    let (dispatcher, _, library, handle) = house();
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    dispatcher.decoded(&taken, DecodeEnd::Failed);
    assert_eq!(library.calls(), [Call::Finish(1)]);
    assert_eq!(dispatcher.libraries().unwrap()[0].delivered, 0);
}

#[test]
fn libraries_are_listed_with_what_they_have() {
    let (dispatcher, _) = open();
    let library = Library::new();
    let first = library.register(dispatcher, 1).unwrap();
    let second = library.register(dispatcher, 2).unwrap();
    dispatcher.unregister(first).unwrap();
    // In the slot of the first, and listed behind the second.
    let third = library.register(dispatcher, 3).unwrap();
    dispatcher.deliver_plain(second, payload(0)).unwrap();
    assert_eq!(poll(dispatcher), Some(0));
    let thread = waiting_thread(dispatcher, second, 1);
    dispatcher.deliver_plain(second, payload(2)).unwrap();
    assert_eq!(dispatcher.deliver_and_wait(third, plain(3)).unwrap_err(), DeliverError::WouldDeadlock);
    let infos = dispatcher.libraries().unwrap();
    let names: Vec<_> = infos.iter().map(|info| info.name.as_deref().unwrap()).collect();
    assert_eq!(names, ["library 2", "library 3"]);
    assert_eq!(infos[0].revision, "made up");
    assert_eq!((infos[0].queued, infos[0].waiting, infos[0].delivered, infos[0].refused), (2, 1, 1, 0));
    assert_eq!((infos[1].queued, infos[1].waiting, infos[1].delivered, infos[1].refused), (0, 0, 0, 1));
    dispatcher.unregister(second).unwrap();
    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
}

#[test]
fn the_lua_thread_is_refused_what_waits_for_it() {
    let (dispatcher, _, library, handle) = house();
    assert!(dispatcher.on_lua_thread());
    let refused = dispatcher.deliver_and_wait(handle, plain(1));
    assert_eq!(refused, Err(DeliverError::WouldDeadlock));
    assert_eq!(library.calls(), []);
    assert_eq!(dispatcher.queue_size(), 0);
    assert!(!std::thread::spawn(|| dispatcher.on_lua_thread()).join().unwrap());
}

#[test]
fn a_library_may_unregister_in_any_call() {
    // In the cancel of its own item, of another library's, and in `finish`.
    let (dispatcher, _) = open();
    let (one, two) = (Library::new(), Library::new());
    let first = one.register(dispatcher, 1).unwrap();
    let second = two.register(dispatcher, 2).unwrap();
    one.on_call(move |call, _| {
        if call == Call::CancelQueued(1) {
            assert_eq!(dispatcher.unregister(first), Err(UnregisterError::InvalidHandle));
            dispatcher.unregister(second).unwrap();
        }
    });
    dispatcher.deliver_plain(second, payload(0)).unwrap();
    dispatcher.deliver_plain(first, payload(1)).unwrap();
    dispatcher.deliver_plain(first, payload(2)).unwrap();
    dispatcher.unregister(first).unwrap();
    assert_eq!(two.calls(), [Call::CancelQueued(0), Call::Finish(0), Call::Release(2)]);
    assert_eq!(
        one.calls(),
        [Call::CancelQueued(1), Call::Finish(1), Call::CancelQueued(2), Call::Finish(2), Call::Release(1)]
    );
    assert_eq!(dispatcher.registered(), 0);

    let library = Library::new();
    let handle = library.register(dispatcher, 3).unwrap();
    library.on_call(move |call, _| {
        if call == Call::Finish(4) {
            dispatcher.unregister(handle).unwrap();
        }
    });
    dispatcher.deliver_plain(handle, payload(4)).unwrap();
    dispatcher.deliver_plain(handle, payload(5)).unwrap();
    assert_eq!(poll(dispatcher), Some(4));
    assert_eq!(
        library.calls(),
        [Call::Finish(4), Call::CancelQueued(5), Call::Finish(5), Call::Release(3)],
        "the library is let go of when the call that it left in has ended"
    );
}

#[test]
fn a_library_may_register_again_inside_its_cancel() {
    let (dispatcher, _, library, handle) = house();
    library.on_call(move |call, old| {
        if call == Call::CancelQueued(1) {
            let fresh = library.register(dispatcher, 1).unwrap();
            assert_ne!(fresh, old);
            dispatcher.deliver_plain(fresh, payload(2)).unwrap();
        }
    });
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    dispatcher.unregister(handle).unwrap();
    assert_eq!(library.calls(), [Call::CancelQueued(1), Call::Finish(1), Call::Release(1)]);
    assert_eq!(dispatcher.registered(), 1);
    assert_eq!(poll(dispatcher), Some(2));
}

#[test]
fn nothing_is_taken_from_a_library_that_leaves() {
    let (dispatcher, _, library, handle) = house();
    let refusals = Arc::new(AtomicUsize::new(0));
    library.on_call({
        let refusals = Arc::clone(&refusals);
        move |call, handle| {
            if call == Call::CancelQueued(1) {
                assert_eq!(dispatcher.deliver_plain(handle, payload(2)), Err(DeliverError::InvalidHandle));
                refusals.fetch_add(1, SeqCst);
            }
        }
    });
    dispatcher.deliver_plain(handle, payload(1)).unwrap();
    dispatcher.unregister(handle).unwrap();
    assert_eq!(refusals.load(SeqCst), 1);
    assert_eq!(dispatcher.queue_size(), 0);
}

#[test]
fn unregister_waits_for_the_decode_and_cancels_what_it_made() {
    let (dispatcher, _, library, handle) = house();
    let thread = waiting_thread(dispatcher, handle, 1);
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    let returned = Arc::new(AtomicBool::new(false));
    let leaver = std::thread::spawn({
        let returned = Arc::clone(&returned);
        move || {
            dispatcher.unregister(handle).unwrap();
            returned.store(true, SeqCst);
        }
    });
    while dispatcher.registered() > 0 {
        std::thread::yield_now();
    }
    assert!(!returned.load(SeqCst), "this thread is in the decode");
    let decoded = dispatcher.decoded(&taken, DecodeEnd::Values);
    assert!(!decoded.reply);
    leaver.join().unwrap();
    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
    assert_eq!(library.calls(), [Call::CancelWaiting(1), Call::Release(1)]);
}

#[test]
fn unregister_inside_the_own_decode_returns() {
    let (dispatcher, _, library, handle) = house();
    let thread = waiting_thread(dispatcher, handle, 1);
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    dispatcher.unregister(handle).unwrap();
    assert_eq!(library.calls(), [], "the library is held by the decode");
    // The slot is not another library's before the decode has ended.
    let other = Library::new();
    let fresh = other.register(dispatcher, 2).unwrap();
    dispatcher.deliver_plain(fresh, payload(5)).unwrap();
    assert!(!dispatcher.decoded(&taken, DecodeEnd::Values).reply);
    assert_eq!(thread.join().unwrap(), Outcome::Cancelled);
    assert_eq!(library.calls(), [Call::CancelWaiting(1), Call::Release(1)]);
    assert_eq!(other.calls(), []);
    assert_eq!(poll(dispatcher), Some(5));
}

#[test]
fn unregister_releases_threads_in_every_state_of_a_delivery() {
    let (dispatcher, _, library, handle) = house();
    let (waiting, ticket) = waiting_for_reply(dispatcher, handle, 1);
    let queued = waiting_thread(dispatcher, handle, 2);
    dispatcher.unregister(handle).unwrap();
    assert_eq!(waiting.join().unwrap(), Outcome::Cancelled);
    assert_eq!(queued.join().unwrap(), Outcome::Cancelled);
    assert_eq!(library.calls(), [Call::CancelWaiting(1), Call::CancelQueued(2), Call::Release(1)]);
    assert!(unsafe { dispatcher.begin_reply(ticket) }.is_none());
}

#[test]
fn a_waiting_thread_goes_after_the_call_for_its_delivery() {
    let (dispatcher, _, library, handle) = house();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let outcome = dispatcher.deliver_and_wait(handle, plain(1)).unwrap().0;
        sender.send(outcome).unwrap();
    });
    while dispatcher.queue_size() == 0 {
        std::thread::yield_now();
    }
    let receiver = std::sync::Mutex::new(receiver);
    library.on_call(move |call, _| {
        if call == Call::CancelQueued(1) {
            assert!(receiver.lock().unwrap().try_recv().is_err(), "its data is in use");
        }
    });
    dispatcher.unregister(handle).unwrap();
    thread.join().unwrap();
    assert_eq!(library.calls(), [Call::CancelQueued(1), Call::Release(1)]);
}

#[test]
fn a_panic_of_a_library_ends_at_the_boundary() {
    let (dispatcher, epoch, library, handle) = house();
    // Its payload is leaked, and takes no memory.
    library.on_call(|_, _| std::panic::resume_unwind(Box::new(())));
    dispatcher.deliver_plain(handle, payload(0)).unwrap();
    assert_eq!(poll(dispatcher), Some(0));
    let (waiting, _) = waiting_for_reply(dispatcher, handle, 1);
    let queued = waiting_thread(dispatcher, handle, 2);
    dispatcher.deliver_plain(handle, payload(3)).unwrap();
    unsafe { dispatcher.close(epoch) };
    assert_eq!(waiting.join().unwrap(), Outcome::Cancelled);
    assert_eq!(queued.join().unwrap(), Outcome::Cancelled);
    assert_eq!(
        library.calls(),
        [
            Call::Finish(0),
            Call::CancelWaiting(1),
            Call::CancelQueued(2),
            Call::CancelQueued(3),
            Call::Finish(3),
            Call::Closing(1),
            Call::Release(1)
        ]
    );
    assert!(dispatcher.claim(), "free for the next state");
}

#[test]
fn many_threads_deliver_and_leave_and_each_item_ends_once() {
    const LIBRARIES: usize = 4;
    const ITEMS: usize = 2000;
    let (dispatcher, epoch) = open();
    let ends: Arc<Vec<AtomicUsize>> = Arc::new((0..LIBRARIES * ITEMS).map(|_| AtomicUsize::new(0)).collect());
    let threads: Vec<_> = (0..LIBRARIES)
        .map(|at| {
            let library = Library::new();
            let handle = library.register(dispatcher, at + 1).unwrap();
            library.on_call({
                let ends = Arc::clone(&ends);
                move |call, _| {
                    if let Call::Finish(data) = call {
                        ends[data].fetch_add(1, SeqCst);
                    }
                }
            });
            std::thread::spawn(move || {
                for data in at * ITEMS..(at + 1) * ITEMS {
                    dispatcher.deliver_plain(handle, payload(data)).unwrap();
                }
                if at % 2 == 0 {
                    dispatcher.unregister(handle).unwrap();
                }
            })
        })
        .collect();
    let mut last = [None; LIBRARIES];
    while threads.iter().any(|thread| !thread.is_finished()) || dispatcher.queue_size() > 0 {
        if let Some(data) = poll(dispatcher) {
            let last = &mut last[data / ITEMS];
            assert!(last.is_none_or(|last| last < data), "out of order");
            *last = Some(data);
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    unsafe { dispatcher.close(epoch) };
    assert!(ends.iter().all(|ends| ends.load(SeqCst) == 1));
}
