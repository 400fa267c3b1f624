//! The queue, through the dispatcher that holds two of them: order, and what removing leaves behind.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::collections::VecDeque;

use common::{Call, Deliver, Library, Numbers, hand_over, item, open, payload, poll};
use dss_impl::capacity::Limits;
use dss_impl::outcome::Outcome;

#[test]
fn items_come_out_as_they_went_in_across_segments() {
    let (dispatcher, _, _, handle) = common::house();
    for round in [1, 127, 128, 129, 1000, 10_000] {
        for data in 0..round {
            dispatcher.deliver_plain(handle, payload(data)).unwrap();
        }
        assert_eq!(dispatcher.queue_size(), round);
        for data in 0..round {
            assert_eq!(poll(dispatcher), Some(data));
        }
        assert_eq!(poll(dispatcher), None);
        assert_eq!(dispatcher.queue_size(), 0);
    }
}

#[test]
fn removing_one_library_leaves_the_others_in_order() {
    let mut numbers = Numbers(1);
    for _ in 0..50 {
        let (dispatcher, _) = open();
        let libraries = [Library::new(), Library::new(), Library::new()];
        let handles = [0, 1, 2].map(|at| libraries[at].register(dispatcher, at).unwrap());
        let mut model = VecDeque::new();
        let mut data = 0;
        for _ in 0..numbers.next() % 2000 {
            if numbers.next().is_multiple_of(4) {
                assert_eq!(poll(dispatcher), model.pop_front().map(|(_, data)| data));
            } else {
                let library = (numbers.next() % 3) as usize;
                dispatcher.deliver_plain(handles[library], payload(data)).unwrap();
                model.push_back((library, data));
                data += 1;
            }
        }
        libraries[1].calls();
        dispatcher.unregister(handles[1]).unwrap();
        let mut wanted = Vec::new();
        for (_, data) in model.iter().filter(|(library, _)| *library == 1) {
            wanted.extend([Call::CancelQueued(*data), Call::Finish(*data)]);
        }
        wanted.push(Call::Release(1));
        assert_eq!(libraries[1].calls(), wanted, "cancelled oldest first");
        // The queue goes on where segments were half emptied.
        for _ in 0..numbers.next() % 500 {
            dispatcher.deliver_plain(handles[2], payload(data)).unwrap();
            model.push_back((2, data));
            data += 1;
        }
        for (_, data) in model.iter().filter(|(library, _)| *library != 1) {
            assert_eq!(poll(dispatcher), Some(*data));
        }
        assert_eq!(poll(dispatcher), None);
    }
}

#[test]
fn items_that_are_ended_leave_the_others_in_order() {
    const STEPS: usize = 100_000;
    const LIBRARIES: usize = 3;
    let limits = Limits { items: usize::MAX, bytes: usize::MAX, ..Limits::default() };
    let mut numbers = Numbers(7);
    let (dispatcher, _) = open();
    let libraries = [Library::new(), Library::new(), Library::new()];
    let mut handles = [0, 1, 2].map(|at| libraries[at].register_bounded(dispatcher, at, limits));
    // Each item's library, number and data.
    let mut model: VecDeque<(usize, u64, usize)> = VecDeque::new();
    let mut last = 0;
    for step in 0..STEPS {
        // For a while more comes, then more is taken, then more is ended: few tombstones, and many.
        let (push, take) = [(70, 80), (30, 70), (20, 25), (60, 62)][step / 1000 % 4];
        match numbers.next() % 100 {
            of if of < push => {
                let library = (numbers.next() % LIBRARIES as u64) as usize;
                let sequence = hand_over(dispatcher, handles[library], item(step)).unwrap();
                assert!(sequence > last);
                last = sequence;
                model.push_back((library, sequence, step));
            }
            of if of < take => {
                assert_eq!(poll(dispatcher), model.pop_front().map(|(.., data)| data));
            }
            _ if numbers.next().is_multiple_of(500) => {
                let library = (numbers.next() % LIBRARIES as u64) as usize;
                libraries[library].calls();
                dispatcher.unregister(handles[library]).unwrap();
                let mut wanted = Vec::new();
                for (.., data) in model.iter().filter(|(of, ..)| *of == library) {
                    wanted.extend([Call::CancelQueued(*data), Call::Finish(*data)]);
                }
                wanted.push(Call::Release(library));
                assert_eq!(libraries[library].calls(), wanted, "in order, and none twice");
                model.retain(|(of, ..)| *of != library);
                handles[library] = libraries[library].register_bounded(dispatcher, library, limits);
            }
            _ => {
                // One that is queued, mostly; or one that has gone, or that never was.
                let sequence = match model.len() as u64 {
                    queued if queued > 0 && !numbers.next().is_multiple_of(8) => {
                        model[(numbers.next() % queued) as usize].1
                    }
                    _ => numbers.next() % (last + 2),
                };
                let library = (numbers.next() % LIBRARIES as u64) as usize;
                let at = model.iter().position(|(of, it, _)| (*of, *it) == (library, sequence));
                libraries[library].calls();
                let ended = dispatcher.end(handles[library], sequence, Outcome::Withdrawn, true);
                assert_eq!(ended, at.is_some());
                if let Some((.., data)) = at.and_then(|at| model.remove(at)) {
                    assert_eq!(libraries[library].calls(), [Call::CancelQueued(data), Call::Finish(data)]);
                }
            }
        }
        assert_eq!(dispatcher.queue_size(), model.len(), "tombstones are not items");
        if step % 100 == 0 {
            let queued = |library| model.iter().filter(|(of, ..)| *of == library).count();
            for info in dispatcher.libraries().unwrap() {
                let library = (0..LIBRARIES)
                    .find(|at| info.name.as_deref() == Some(&*format!("library {at}")))
                    .unwrap();
                assert_eq!((info.queued, info.bytes), (queued(library), queued(library)));
            }
        }
    }
    while let Some((.., data)) = model.pop_front() {
        assert_eq!(poll(dispatcher), Some(data));
    }
    assert_eq!(poll(dispatcher), None);
    assert_eq!(dispatcher.queue_size(), 0);
}
