//! What `libraries()` says of each library, held against a model that counts by itself: after every one of many random steps,
//! and while others deliver.
#![allow(clippy::undocumented_unsafe_blocks)] // each test plays the Lua thread on one thread at a time: that is the promise asked for
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;

use common::{
    Deliver, Library, NUMBER, Numbers, data_of, hand_over, item, keyed, open, payload, poll, request,
    waiting_thread,
};
use dss_impl::callbacks::CallbackId;
use dss_impl::capacity::{Limits, Policy};
use dss_impl::channel::ChannelId;
use dss_impl::delivery::DeliverError;
use dss_impl::dispatcher::{DecodeEnd, Dispatcher, PendingId, ReplyEnd};
use dss_impl::handle::Handle;
use dss_impl::library::LibraryInfo;
use dss_impl::outcome::Outcome;

/// An item that is queued.
#[derive(Clone, Debug)]
struct Queued {
    library: usize,
    data: usize,
    /// Its number, where its library was told one.
    number: u64,
    waits: bool,
    key: Option<u8>,
}

/// What `libraries()` is to say of one library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    queued: usize,
    bytes: usize,
    high_water: usize,
    waiting: usize,
    delivered: u64,
    replied: u64,
    failed: u64,
    cancelled: u64,
    refused: u64,
    dropped: u64,
    coalesced: u64,
    timed_out: u64,
}

/// A library, as the model knows it.
struct Known {
    policy: Option<Policy>,
    limit: usize,
    handle: Option<Handle>,
    /// When it registered, of all.
    registered: u64,
    /// Without what follows from the queue.
    counts: Counts,
}

/// A delivery whose reply is out.
struct Out {
    library: usize,
    data: usize,
    number: u64,
    ticket: PendingId,
}

struct Model {
    dispatcher: &'static Dispatcher,
    library: &'static Library,
    libraries: Vec<Known>,
    /// All that is queued, the oldest first.
    queue: Vec<Queued>,
    out: Vec<Out>,
    /// The library whose delivery is decoded or replied to at this moment, where somebody waits for it.
    in_hand: Option<usize>,
    threads: Vec<JoinHandle<Outcome>>,
    registrations: u64,
    numbers: Numbers,
}

/// So that one callback has several items.
const CALLBACKS: u64 = 20;

impl Model {
    fn new(seed: u64) -> Self {
        let policies = [None, None, Some(Policy::Refuse), Some(Policy::DropOldest), Some(Policy::Latest)];
        let known =
            |policy| Known { policy, limit: 6, handle: None, registered: 0, counts: Counts::default() };
        let mut model = Model {
            dispatcher: open().0,
            library: Library::new(),
            libraries: policies.into_iter().map(known).collect(),
            queue: Vec::new(),
            out: Vec::new(),
            in_hand: None,
            threads: Vec::new(),
            registrations: 0,
            numbers: Numbers(seed),
        };
        for at in 0..model.libraries.len() {
            model.register(at);
        }
        model
    }

    fn below(&mut self, bound: u64) -> usize {
        (self.numbers.next() % bound) as usize
    }

    fn register(&mut self, at: usize) {
        let known = &mut self.libraries[at];
        let handle = match known.policy {
            Some(policy) => {
                let limits = Limits { items: known.limit, bytes: 1000, policy };
                self.library.register_bounded(self.dispatcher, at + 1, limits)
            }
            None => self.library.register(self.dispatcher, at + 1).unwrap(),
        };
        self.registrations += 1;
        (known.handle, known.registered) = (Some(handle), self.registrations);
    }

    /// The items of one library that are queued.
    fn queued(&self, library: usize) -> usize {
        self.queue.iter().filter(|item| item.library == library).count()
    }

    /// Puts an item into the model's queue as the policy says; whether that has room for it.
    fn enter(&mut self, item: Queued) -> bool {
        let at = item.library;
        let Some(policy) = self.libraries[at].policy else {
            self.queue.push(item);
            return true;
        };
        if policy == Policy::Latest && item.key.is_some() {
            let same = |queued: &&mut Queued| queued.library == at && queued.key == item.key;
            if let Some(place) = self.queue.iter_mut().find(same) {
                *place = item;
                self.libraries[at].counts.coalesced += 1;
                return true;
            }
        }
        while self.queued(at) >= self.libraries[at].limit {
            if policy != Policy::DropOldest {
                return false;
            }
            let oldest = self.queue.iter().position(|queued| queued.library == at).unwrap();
            self.queue.remove(oldest);
            self.libraries[at].counts.dropped += 1;
        }
        self.queue.push(item);
        let queued = self.queued(at);
        let high = &mut self.libraries[at].counts.high_water;
        *high = queued.max(*high);
        true
    }

    fn deliver(&mut self, at: usize, data: usize) {
        let Some(handle) = self.libraries[at].handle else { return };
        let key = (self.libraries[at].policy == Some(Policy::Latest)).then(|| self.below(3) as u8);
        if self.libraries[at].policy.is_none() {
            self.dispatcher.deliver_plain(handle, payload(data)).unwrap();
            assert!(self.enter(Queued { library: at, data, number: 0, waits: false, key }));
            return;
        }
        let waits = self.below(4) == 0;
        let key = key.filter(|key| !waits && *key > 0);
        let bytes = [key.unwrap_or_default()];
        let delivery = match key {
            _ if waits => request(data),
            Some(_) => keyed(data, &bytes),
            None => item(data),
        };
        let result = hand_over(self.dispatcher, handle, delivery);
        let number = result.unwrap_or_default();
        if self.enter(Queued { library: at, data, number, waits, key }) {
            assert!(result.is_ok(), "{result:?}");
        } else {
            assert_eq!(result, Err(DeliverError::Full));
            self.libraries[at].counts.refused += 1;
        }
    }

    fn deliver_many(&mut self, at: usize, data: usize) {
        let (Some(handle), Some(_)) = (self.libraries[at].handle, self.libraries[at].policy) else { return };
        let batch: Vec<_> = (data..data + 4).map(|data| item(data % CALLBACKS as usize)).collect();
        let accepted = self.dispatcher.deliver_many(handle, &batch);
        for (count, delivery) in batch.iter().enumerate() {
            let number = accepted.first + count as u64;
            let data = data_of(&delivery.payload);
            if !self.enter(Queued { library: at, data, number, waits: false, key: None }) {
                assert_eq!(accepted.taken, count);
                self.libraries[at].counts.refused += (batch.len() - count) as u64;
                return;
            }
        }
        assert_eq!(accepted.taken, batch.len());
    }

    /// A thread of a library without a bound, which waits.
    fn wait(&mut self, at: usize, data: usize) {
        let Some(handle) = self.libraries[at].handle.filter(|_| self.libraries[at].policy.is_none()) else {
            return;
        };
        self.threads.push(waiting_thread(self.dispatcher, handle, data));
        self.queue.push(Queued { library: at, data, number: 0, waits: true, key: None });
    }

    fn take(&mut self) {
        let taken = unsafe { self.dispatcher.take_one() }.unwrap();
        if self.queue.is_empty() {
            assert!(taken.is_none());
            return;
        }
        let (front, taken) = (self.queue.remove(0), taken.unwrap());
        assert_eq!(data_of(&taken.payload), front.data);
        self.in_hand = front.waits.then_some(front.library);
        self.compare("in hand");
        let ended_early = front.waits && front.number != 0 && self.below(8) == 0;
        if ended_early {
            let handle = self.libraries[front.library].handle.unwrap();
            assert!(self.dispatcher.end(handle, front.number, Outcome::Withdrawn, false));
            self.libraries[front.library].counts.cancelled += 1;
            self.compare("ended in hand");
        }
        let end = [DecodeEnd::Values, DecodeEnd::Values, DecodeEnd::Over, DecodeEnd::Failed][self.below(4)];
        let reply = self.dispatcher.decoded(&taken, end).reply;
        self.in_hand = None;
        let counts = &mut self.libraries[front.library].counts;
        match end {
            DecodeEnd::Failed => counts.failed += u64::from(!ended_early),
            _ => counts.delivered += 1,
        }
        assert_eq!(reply, front.waits && !ended_early && end == DecodeEnd::Values);
        if reply {
            let (library, data, number) = (front.library, front.data, front.number);
            self.out.push(Out { library, data, number, ticket: taken.pending.unwrap() });
        }
    }

    fn reply(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let at = self.below(self.out.len() as u64);
        let Out { library, ticket, .. } = self.out.swap_remove(at);
        let replying = unsafe { self.dispatcher.begin_reply(ticket) }.unwrap();
        self.in_hand = Some(library);
        self.compare("replying");
        let end = [ReplyEnd::Replied, ReplyEnd::Collected, ReplyEnd::Failed][self.below(3)];
        self.dispatcher.replied(&replying, end);
        self.in_hand = None;
        let counts = &mut self.libraries[library].counts;
        match end {
            ReplyEnd::Replied => counts.replied += 1,
            _ => counts.failed += 1,
        }
        assert!(unsafe { self.dispatcher.begin_reply(ticket) }.is_none());
    }

    /// Ends one delivery by its number: queued, or out, or neither any more.
    fn end(&mut self, at: usize) {
        let Some(handle) = self.libraries[at].handle else { return };
        let queued: Vec<_> =
            self.queue.iter().filter(|item| item.library == at && item.number != 0).collect();
        let out = self.out.iter().filter(|out| out.library == at && out.number != 0);
        let candidates: Vec<u64> =
            queued.iter().map(|item| item.number).chain(out.map(|out| out.number)).collect();
        if candidates.is_empty() {
            return;
        }
        let number = candidates[self.below(candidates.len() as u64)];
        let late = self.below(2) == 0;
        let outcome = if late { Outcome::TimedOut } else { Outcome::Withdrawn };
        assert!(self.dispatcher.end(handle, number, outcome, false));
        assert!(!self.dispatcher.end(handle, number, outcome, false), "it has ended");
        self.queue.retain(|item| item.library != at || item.number != number);
        self.out.retain(|out| out.library != at || out.number != number);
        let counts = &mut self.libraries[at].counts;
        *(if late { &mut counts.timed_out } else { &mut counts.cancelled }) += 1;
    }

    fn end_all(&mut self, at: usize, data: usize) {
        let Some(handle) = self.libraries[at].handle else { return };
        let before = self.queue.len() + self.out.len();
        self.queue.retain(|item| item.library != at || item.data != data);
        self.out.retain(|out| out.library != at || out.data != data);
        let ended = before - self.queue.len() - self.out.len();
        let callback = CallbackId::from_raw(data as u64);
        assert_eq!(self.dispatcher.end_all_for(handle, callback, Outcome::Cancelled), ended);
        self.libraries[at].counts.cancelled += ended as u64;
    }

    fn unregister(&mut self, at: usize) {
        let Some(handle) = self.libraries[at].handle.take() else {
            return self.register(at);
        };
        self.dispatcher.unregister(handle).unwrap();
        let before = self.queue.len() + self.out.len();
        self.queue.retain(|item| item.library != at);
        self.out.retain(|out| out.library != at);
        let ended = before - self.queue.len() - self.out.len();
        self.libraries[at].counts.cancelled += ended as u64;
    }

    fn limit(&mut self, at: usize) {
        let (Some(handle), Some(policy)) = (self.libraries[at].handle, self.libraries[at].policy) else {
            return;
        };
        let limit = 1 + self.below(8);
        self.libraries[at].limit = limit;
        self.dispatcher
            .limit(handle, NUMBER, ChannelId::FIRST, Limits { items: limit, bytes: 1000, policy })
            .unwrap();
    }

    fn step(&mut self) {
        let library = self.below(self.libraries.len() as u64);
        let data = 2 + self.below(CALLBACKS - 6);
        match self.below(100) {
            0..40 => self.deliver(library, data),
            40..45 => self.deliver_many(library, data),
            45..49 => self.wait(library, data),
            49..79 => self.take(),
            79..86 => self.reply(),
            86..92 => self.end(library),
            92..95 => self.end_all(library, data),
            95..97 => self.limit(library),
            _ => self.unregister(library),
        }
    }

    /// What `libraries()` is to say, in its order.
    fn wanted(&self) -> Vec<(String, Counts)> {
        let mut registered: Vec<_> =
            self.libraries.iter().enumerate().filter(|(_, known)| known.handle.is_some()).collect();
        registered.sort_by_key(|(_, known)| known.registered);
        let counts = |(at, known): (usize, &Known)| {
            let queued = self.queued(at);
            let waiting = self.queue.iter().filter(|item| item.library == at && item.waits).count()
                + self.out.iter().filter(|out| out.library == at).count()
                + usize::from(self.in_hand == Some(at));
            let bytes = if known.policy.is_some() { queued } else { 0 };
            (format!("library {}", at + 1), Counts { queued, bytes, waiting, ..known.counts })
        };
        registered.into_iter().map(counts).collect()
    }

    fn compare(&self, when: &str) {
        let found: Vec<_> = self.dispatcher.libraries().unwrap().iter().map(said).collect();
        assert_eq!(found, self.wanted(), "{when}");
        assert_eq!(self.dispatcher.queue_size(), self.queue.len(), "{when}");
    }
}

fn said(info: &LibraryInfo) -> (String, Counts) {
    let counts = Counts {
        queued: info.queued,
        bytes: info.bytes,
        high_water: info.high_water,
        waiting: info.waiting,
        delivered: info.delivered,
        replied: info.replied,
        failed: info.failed,
        cancelled: info.cancelled,
        refused: info.refused,
        dropped: info.dropped,
        coalesced: info.coalesced,
        timed_out: info.timed_out,
    };
    (info.name.as_deref().unwrap_or_default().to_owned(), counts)
}

#[test]
fn every_count_is_the_models_after_every_step() {
    for seed in 0..20 {
        let mut model = Model::new(seed);
        for step in 0..3000 {
            model.step();
            model.compare(&format!("seed {seed}, step {step}"));
        }
        for at in 0..model.libraries.len() {
            if model.libraries[at].handle.is_some() {
                model.unregister(at);
            }
        }
        model.compare("at the end");
        for thread in std::mem::take(&mut model.threads) {
            thread.join().unwrap();
        }
    }
}

/// While others deliver, an item that was taken is counted once, wherever it is: no count is behind what was known before it was
/// asked for, nor before what is known after.
#[test]
fn no_item_is_counted_twice_or_not_at_all_while_others_deliver() {
    const LIBRARIES: usize = 3;
    let (dispatcher, _) = open();
    let library = Library::new();
    let limits = |policy| Limits { items: 100, bytes: 1000, policy };
    let handles = [
        library.register(dispatcher, 1).unwrap(),
        library.register_bounded(dispatcher, 2, limits(Policy::Refuse)),
        library.register_bounded(dispatcher, 3, limits(Policy::DropOldest)),
    ];
    let began: [AtomicU64; LIBRARIES] = std::array::from_fn(|_| AtomicU64::new(0));
    let taken: [AtomicU64; LIBRARIES] = std::array::from_fn(|_| AtomicU64::new(0));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for at in 0..LIBRARIES {
            let (began, taken, stop) = (&began[at], &taken[at], &stop);
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    // The unbounded one does not run away.
                    if at == 0 && dispatcher.queue_size() > 2000 {
                        std::thread::yield_now();
                        continue;
                    }
                    began.fetch_add(1, SeqCst);
                    let done = match at {
                        0 => dispatcher.deliver_plain(handles[at], payload(7)).is_ok(),
                        _ => match dispatcher.hand_over(handles[at], item(7)) {
                            Ok(accepted) => {
                                if accepted.sequence.is_multiple_of(16) {
                                    dispatcher.end(handles[at], accepted.sequence, Outcome::Withdrawn, true);
                                }
                                true
                            }
                            Err(DeliverError::Full) => false,
                            Err(error) => panic!("{error:?}"),
                        },
                    };
                    if done {
                        taken.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        let numbers = &mut Numbers(1);
        for round in 0..20_000 {
            for _ in 0..numbers.next() % 8 {
                poll(dispatcher);
            }
            let before: Vec<_> = taken.iter().map(|taken| taken.load(SeqCst)).collect();
            let infos = dispatcher.libraries().unwrap();
            let after: Vec<_> = began.iter().map(|began| began.load(SeqCst)).collect();
            for (at, info) in infos.iter().enumerate() {
                let counted =
                    info.queued as u64 + info.delivered + info.cancelled + info.dropped + info.coalesced;
                let counted_all = counted + info.refused;
                if counted < before[at] || counted_all > after[at] {
                    stop.store(true, SeqCst);
                    panic!("round {round}: {} taken before, {} begun after, {info:?}", before[at], after[at]);
                }
            }
        }
        stop.store(true, SeqCst);
    });
    while poll(dispatcher).is_some() {}
    let infos = dispatcher.libraries().unwrap();
    for (at, info) in infos.iter().enumerate() {
        assert_eq!((info.queued, info.bytes), (0, 0));
        assert_eq!(info.delivered + info.cancelled + info.dropped, taken[at].load(SeqCst));
        let began = began[at].load(SeqCst);
        assert_eq!(info.delivered + info.cancelled + info.dropped + info.refused, began);
    }
}
