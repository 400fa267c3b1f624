//! References to Lua functions: who holds them, and that names that are dead stay so.
#![allow(clippy::undocumented_unsafe_blocks)] // for what `common` has: nothing is taken here
#![cfg(not(loom))]

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};

use common::{Numbers, released};
use dss_impl::callbacks::{CallbackId, Reference};
use dss_impl::states::{self, StateRef};
use dss_impl::states::{release_callback as release, retain_callback as retain};

/// A state, and no other test's beside it: a dispatcher that was closed is not another's before the test is over.
fn open() -> (MutexGuard<'static, ()>, StateRef) {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    (alone, states::open().unwrap())
}

fn assert_held_anywhere<T: Send + Sync>() {}

#[test]
fn any_thread_may_hold_a_reference() {
    assert_held_anywhere::<Reference>();
    assert_held_anywhere::<CallbackId>();
}

#[test]
fn a_function_is_forgotten_once_when_nobody_refers_to_it() {
    let (_alone, state) = open();
    let dispatcher = state.dispatcher;
    assert_eq!(released(dispatcher), None);
    let first = dispatcher.new_callback().unwrap();
    let id = first.id();
    let second = retain(id).unwrap();
    assert_eq!(second.id(), id);
    drop(first);
    assert_eq!(released(dispatcher), None, "one is left");
    let third = retain(id).unwrap();
    std::thread::spawn(move || drop((second, third))).join().unwrap();
    assert!(retain(id).is_none(), "dead");
    assert_eq!(released(dispatcher), Some(vec![id.slot()]));
    assert_eq!(released(dispatcher), None, "once");
    release(id);
    assert_eq!(released(dispatcher), None, "a name that is dead gives nothing back");
    unsafe { state.close() };
}

#[test]
fn what_a_slot_has_is_referred_to_again_until_nobody_does() {
    let (_alone, state) = open();
    let dispatcher = state.dispatcher;
    let first = dispatcher.new_callback().unwrap();
    let slot = first.id().slot();
    let second = dispatcher.retain_slot(slot).unwrap();
    assert_eq!(second.id(), first.id());
    drop(first);
    assert_eq!(released(dispatcher), None, "one is left");
    drop(second);
    assert!(dispatcher.retain_slot(slot).is_none(), "let go of");
    assert_eq!(released(dispatcher), Some(vec![slot]));
    assert!(dispatcher.retain_slot(slot).is_none(), "vacant");
    assert!(dispatcher.retain_slot(1 << 19).is_none(), "never made");
    let third = dispatcher.new_callback().unwrap();
    assert_eq!(third.id().slot(), slot);
    assert_eq!(dispatcher.retain_slot(slot).unwrap().id(), third.id());
    drop(third);
    assert_eq!(released(dispatcher), Some(vec![slot]));
    unsafe { state.close() };
}

#[test]
fn a_place_is_given_again_under_another_name() {
    let (_alone, state) = open();
    let dispatcher = state.dispatcher;
    let old = dispatcher.new_callback().unwrap().into_raw();
    release(CallbackId::from_raw(old));
    let other = dispatcher.new_callback().unwrap();
    assert_ne!(other.id().slot(), CallbackId::from_raw(old).slot(), "Lua has not forgotten it yet");
    assert_eq!(released(dispatcher), Some(vec![CallbackId::from_raw(old).slot()]));
    let fresh = dispatcher.new_callback().unwrap();
    assert_eq!(fresh.id().slot(), CallbackId::from_raw(old).slot());
    assert_ne!(fresh.id().to_raw(), old);
    // What comes under the old name does not touch the new one.
    assert!(retain(CallbackId::from_raw(old)).is_none());
    release(CallbackId::from_raw(old));
    assert!(retain(fresh.id()).is_some());
    drop((fresh, other));
    unsafe { state.close() };
}

#[test]
fn a_number_is_a_name_and_back() {
    let (_alone, state) = open();
    let names: Vec<_> = (0..100).map(|_| state.dispatcher.new_callback().unwrap()).collect();
    for name in &names {
        let raw = name.id().to_raw();
        assert_ne!(raw, 0);
        assert_eq!(CallbackId::from_raw(raw), name.id());
    }
    let places: HashSet<_> = names.iter().map(|name| name.id().slot()).collect();
    assert_eq!(places.len(), 100, "each has a place of its own");
    drop(names);
    assert_eq!(released(state.dispatcher).map(|places| places.len()), Some(100));
    unsafe { state.close() };
}

#[test]
fn a_made_up_name_names_nothing() {
    let (_alone, state) = open();
    let held = state.dispatcher.new_callback().unwrap();
    let raw = held.id().to_raw();
    let mut numbers = Numbers(3);
    let near = (0..64).map(|bit| raw ^ 1 << bit);
    let far = (0..100_000).map(|_| numbers.next()).collect::<Vec<_>>();
    for made_up in near.chain(far).chain([0, u64::MAX, u64::MAX >> 24, raw & 0xFF_FFFF_FFFF]) {
        if made_up == raw {
            continue;
        }
        assert!(retain(CallbackId::from_raw(made_up)).is_none(), "{made_up:x}");
        release(CallbackId::from_raw(made_up));
    }
    assert!(retain(held.id()).is_some());
    assert_eq!(released(state.dispatcher), None);
    drop(held);
    unsafe { state.close() };
}

#[test]
fn all_names_are_dead_when_the_state_has_closed() {
    let (_alone, state) = open();
    let dispatcher = state.dispatcher;
    let held: Vec<_> = (0..20).map(|_| dispatcher.new_callback().unwrap()).collect();
    let let_go = dispatcher.new_callback().unwrap();
    let ids: Vec<_> = held.iter().map(Reference::id).chain([let_go.id()]).collect();
    drop(let_go);
    unsafe { state.close() };
    assert!(ids.iter().all(|id| retain(*id).is_none()));
    assert_eq!(released(dispatcher), None, "no Lua is there to forget them");
    // The next state on the same dispatcher: its places are the old ones.
    assert!(dispatcher.claim());
    let epoch = dispatcher.open();
    let fresh: Vec<_> = (0..ids.len()).map(|_| dispatcher.new_callback().unwrap()).collect();
    let places =
        |ids: &mut dyn Iterator<Item = CallbackId>| ids.map(CallbackId::slot).collect::<HashSet<_>>();
    assert_eq!(places(&mut fresh.iter().map(Reference::id)), places(&mut ids.iter().copied()));
    // Late releases, on other threads.
    std::thread::spawn(move || drop(held)).join().unwrap();
    ids.iter().for_each(|id| release(*id));
    assert!(fresh.iter().all(|reference| retain(reference.id()).is_some()));
    assert_eq!(released(dispatcher), None);
    drop(fresh);
    assert_eq!(released(dispatcher).unwrap().len(), ids.len());
    unsafe { dispatcher.close(epoch) };
}

#[test]
fn many_threads_retain_and_release() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2000;
    let (_alone, state) = open();
    let dispatcher = state.dispatcher;
    let names: Vec<_> = (0..50).map(|_| dispatcher.new_callback().unwrap()).collect();
    let ids: Arc<Vec<_>> = Arc::new(names.iter().map(Reference::id).collect());
    let barrier = Arc::new(Barrier::new(THREADS + 1));
    let threads: Vec<_> = (0..THREADS as u64)
        .map(|seed| {
            let (ids, barrier) = (Arc::clone(&ids), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let mut numbers = Numbers(seed);
                let mut held = Vec::new();
                barrier.wait();
                for _ in 0..ROUNDS {
                    let id = ids[(numbers.next() % ids.len() as u64) as usize];
                    match numbers.next() % 3 {
                        0 => held.truncate(held.len() / 2),
                        _ => held.extend(retain(id)),
                    }
                }
                for reference in &held {
                    assert!(retain(reference.id()).is_some(), "held, and dead");
                }
            })
        })
        .collect();
    barrier.wait();
    // The first references go while the others come: each dies once, whoever was the last to hold it.
    drop(names);
    let mut forgotten = Vec::new();
    while threads.iter().any(|thread| !thread.is_finished()) {
        forgotten.extend(released(dispatcher).unwrap_or_default());
        std::thread::yield_now();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    forgotten.extend(released(dispatcher).unwrap_or_default());
    forgotten.sort_unstable();
    let mut wanted: Vec<_> = ids.iter().map(|id| id.slot()).collect();
    wanted.sort_unstable();
    assert_eq!(forgotten, wanted, "each once");
    assert!(ids.iter().all(|id| retain(*id).is_none()));
    unsafe { state.close() };
}
