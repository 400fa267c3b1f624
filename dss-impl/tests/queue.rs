//! The queue, through the dispatcher that holds two of them: order, and what removing leaves behind.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::collections::VecDeque;

use common::{Call, Library, Numbers, open, parcel, poll};

#[test]
fn items_come_out_as_they_went_in_across_segments() {
    let (dispatcher, _, _, handle) = common::house();
    for round in [1, 127, 128, 129, 1000, 10_000] {
        for data in 0..round {
            dispatcher.deliver(handle, parcel(data)).unwrap();
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
                dispatcher.deliver(handles[library], parcel(data)).unwrap();
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
            dispatcher.deliver(handles[2], parcel(data)).unwrap();
            model.push_back((2, data));
            data += 1;
        }
        for (_, data) in model.iter().filter(|(library, _)| *library != 1) {
            assert_eq!(poll(dispatcher), Some(*data));
        }
        assert_eq!(poll(dispatcher), None);
    }
}
