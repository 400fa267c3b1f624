//! Bounds under many producers: every item is accounted for, and none lies unannounced.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{Call, Library, bounded_house, hand_over, info, keyed, open, poll};
use dss_impl::capacity::{Limits, Policy};
use dss_impl::delivery::DeliverError;
use dss_impl::dispatcher::Dispatcher;
use dss_impl::handle::Handle;
use dss_impl::notifier::Notifier;
use dss_impl::outcome::Outcome;

/// Far longer than a test may take: what sleeps it out fails by the runner's own limit.
const FOREVER: Policy = Policy::Wait(Duration::MAX);

struct Channel(Mutex<mpsc::Sender<()>>);

impl Notifier for Channel {
    fn notify(&self, _: usize) -> io::Result<()> {
        self.0.lock().unwrap().send(()).map_err(|_| io::ErrorKind::ConnectionRefused.into())
    }
}

const PRODUCERS: usize = 10;

/// A handler that reads once and polls once sees all of it, whatever is dropped, coalesced or ended meanwhile.
#[test]
fn no_item_lies_unannounced() {
    const EACH: usize = 5_000;
    for policy in [Policy::Refuse, FOREVER, Policy::DropOldest, Policy::Latest] {
        let (dispatcher, _, _, handle) = bounded_house(100, policy);
        let (sender, notifications) = mpsc::channel();
        dispatcher.set_notifier(Some(Box::new(Channel(Mutex::new(sender))))).unwrap();
        let threads: Vec<_> = (0..PRODUCERS)
            .map(|at| std::thread::spawn(move || produce(dispatcher, handle, at, EACH)))
            .collect();
        while threads.iter().any(|thread| !thread.is_finished()) || dispatcher.queue_size() > 0 {
            match notifications.recv_timeout(Duration::from_millis(100)) {
                Ok(()) => drop(poll(dispatcher)),
                // Producers are at work; where all of them wait for room that nobody is told of, this never ends.
                Err(_) if threads.iter().any(|thread| !thread.is_finished()) => {}
                Err(_) => assert_eq!(dispatcher.queue_size(), 0, "an item lies unannounced"),
            }
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

/// What a producer was told.
#[derive(Default)]
struct Told {
    accepted: Vec<usize>,
    refused: u64,
    timed_out: u64,
    ended: u64,
}

/// Hands over `each` items, alone and in batches, and ends some of them again.
fn produce(dispatcher: &'static Dispatcher, handle: Handle, at: usize, each: usize) -> Told {
    let mut told = Told::default();
    let mut data = at * each;
    while data < (at + 1) * each {
        let key = [at as u8, (data % 7) as u8];
        let key: &[u8] = if data.is_multiple_of(3) { &[] } else { &key };
        if data % 100 == 50 {
            let batch: Vec<_> = (data..data + 5).map(|data| keyed(data, key)).collect();
            let accepted = dispatcher.deliver_many(handle, &batch);
            told.accepted.extend(data..data + accepted.taken);
            told.refused += (batch.len() - accepted.taken) as u64;
            data += batch.len();
            continue;
        }
        match hand_over(dispatcher, handle, keyed(data, key)) {
            Ok(sequence) => {
                told.accepted.push(data);
                if data.is_multiple_of(64) {
                    let ended = dispatcher.end(handle, sequence, Outcome::Withdrawn, true);
                    told.ended += u64::from(ended);
                }
            }
            Err(DeliverError::Full) => told.refused += 1,
            Err(DeliverError::TimedOut) => told.timed_out += 1,
            Err(error) => panic!("{error:?}"),
        }
        data += 1;
    }
    told
}

fn every_item_is_accounted_for(policy: Policy) {
    const EACH: usize = 50_000;
    const BOUND: usize = 1000;
    let (dispatcher, _) = open();
    let library = Library::new();
    let finished: Arc<Vec<AtomicUsize>> =
        Arc::new((0..PRODUCERS * EACH).map(|_| AtomicUsize::new(0)).collect());
    library.on_call({
        let finished = Arc::clone(&finished);
        move |call, _| {
            if let Call::Finish(data) = call {
                finished[data].fetch_add(1, SeqCst);
            }
        }
    });
    let limits = Limits { items: BOUND, bytes: 1 << 20, policy };
    let handle = library.register_bounded(dispatcher, 1, limits);
    let threads: Vec<_> =
        (0..PRODUCERS).map(|at| std::thread::spawn(move || produce(dispatcher, handle, at, EACH))).collect();
    let mut delivered = 0;
    while threads.iter().any(|thread| !thread.is_finished()) {
        // A Lua that is away at times, so that the bound is met.
        if delivered % 50_000 == 49_999 {
            std::thread::sleep(Duration::from_millis(2));
        }
        delivered += u64::from(poll(dispatcher).is_some());
        let queued = dispatcher.queue_size();
        assert!(queued <= 2 * BOUND, "{queued} items, or tombstones among them");
    }
    let told: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let sum = |of: fn(&Told) -> u64| told.iter().map(of).sum::<u64>();
    let accepted = sum(|told| told.accepted.len() as u64);
    let info = info(dispatcher);
    assert_eq!(accepted + info.refused + info.timed_out, (PRODUCERS * EACH) as u64);
    assert_eq!((info.refused, info.timed_out), (sum(|told| told.refused), sum(|told| told.timed_out)));
    assert_eq!((info.delivered, info.cancelled), (delivered, sum(|told| told.ended)));
    let left = info.delivered + info.dropped + info.coalesced + info.cancelled;
    assert_eq!(accepted, left + info.queued as u64, "{info:?}");
    assert_eq!((dispatcher.queue_size(), info.bytes), (info.queued, info.queued));
    assert!(info.high_water <= BOUND && info.high_water > 0, "{info:?}");
    match policy {
        Policy::Refuse => assert_eq!((info.dropped, info.coalesced, info.timed_out), (0, 0, 0)),
        Policy::Wait(_) => assert_eq!((info.dropped, info.coalesced), (0, 0)),
        Policy::DropOldest => assert_eq!((info.refused, info.coalesced, info.timed_out), (0, 0, 0)),
        Policy::Latest => assert_eq!((info.dropped, info.timed_out), (0, 0)),
    }
    library.calls();
    dispatcher.unregister(handle).unwrap();
    let cancelled = library.calls().into_iter().filter(|call| matches!(call, Call::CancelQueued(_)));
    assert_eq!(cancelled.count(), info.queued);
    assert_eq!(dispatcher.queue_size(), 0);
    let mut wanted = vec![0; PRODUCERS * EACH];
    told.iter().flat_map(|told| &told.accepted).for_each(|data| wanted[*data] = 1);
    for (data, finished) in finished.iter().enumerate() {
        assert_eq!(finished.load(SeqCst), wanted[data], "finish of {data}");
    }
}

#[test]
fn every_item_is_accounted_for_where_what_does_not_fit_is_refused() {
    every_item_is_accounted_for(Policy::Refuse);
}

#[test]
fn every_item_is_accounted_for_where_producers_wait() {
    every_item_is_accounted_for(Policy::Wait(Duration::from_millis(5)));
}

#[test]
fn every_item_is_accounted_for_where_the_oldest_make_room() {
    every_item_is_accounted_for(Policy::DropOldest);
}

#[test]
fn every_item_is_accounted_for_where_the_latest_count() {
    every_item_is_accounted_for(Policy::Latest);
}
