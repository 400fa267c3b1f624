//! The edge of c2v0: whatever a library hands over is taken, or refused with a code. What was taken ends exactly once.
//!
//! An input is a program of calls of DSS's table, with values that lie as far as a lie can be told: NULL for memory, unknown kinds, wrong
//! sizes, lists within themselves, numbers that are made up. It has no pointers that lead nowhere, which nobody could tell.
//!
//! ```sh
//! cargo +nightly fuzz run c2v0 -- -runs=1000000 -max_len=512
//! ```
#![no_main]

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use dss_abi_c2v0::*;
use dss_impl::callbacks::Reference;
use dss_impl::dispatcher::DecodeEnd;
use dss_impl::outcome::Failure;
use dss_impl::port::FAILED;
use dss_impl::registry;
use dss_impl::states::{self, LuaSide, StateRef};
use dss_impl::value::{LuaValues, ObjectRef};
use libfuzzer_sys::fuzz_target;

/// A Lua that takes everything and keeps nothing.
struct Nowhere;

impl LuaValues for Nowhere {
    unsafe fn reserve(&self, _: *mut c_void, _: c_int) -> bool {
        true
    }
    unsafe fn top(&self, _: *mut c_void) -> c_int {
        1
    }
    unsafe fn push_nil(&self, _: *mut c_void) {}
    unsafe fn push_boolean(&self, _: *mut c_void, _: bool) {}
    unsafe fn push_integer(&self, _: *mut c_void, _: i64) -> bool {
        true
    }
    unsafe fn push_float(&self, _: *mut c_void, _: f64) {}
    unsafe fn push_bytes(&self, _: *mut c_void, value: &[u8]) {
        // All of it can be read.
        std::hint::black_box(value.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)));
    }
    unsafe fn push_table(&self, _: *mut c_void, _: usize, _: usize) {}
    unsafe fn set_item(&self, _: *mut c_void, _: usize) {}
    unsafe fn set_entry(&self, _: *mut c_void) -> bool {
        true
    }
    unsafe fn push_callback(&self, _: *mut c_void, _: *const c_void) {}
    unsafe fn push_object(&self, _: *mut c_void, _: usize, _: *mut c_void) -> bool {
        true
    }
    unsafe fn push_lent(&self, _: *mut c_void, _: c_int, _: ObjectRef) -> bool {
        true
    }
}

/// The state, its library, and what that is handed.
struct World {
    state: StateRef,
    api: &'static dss_api,
    library: dss_library,
    class: usize,
    callbacks: [Reference; 3],
}

static COMPLETED: AtomicU64 = AtomicU64::new(0);

unsafe extern "C-unwind" fn completed(context: *mut c_void, answer: *const dss_answer) {
    assert_eq!(context as usize, 0x5a5a);
    // SAFETY: DSS lays it out.
    let answer = unsafe { &*answer };
    assert!((1..=8).contains(&answer.ended) && !answer.error.is_null() && !answer.traceback.is_null());
    COMPLETED.fetch_add(1, Ordering::SeqCst);
}

fn world() -> &'static Mutex<World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    WORLD.get_or_init(|| {
        states::set_lua(LuaSide { name: "Lua 5.4", find: |_| None, values: &Nowhere });
        let state = states::open().expect("a state");
        let file = concat!(env!("OUT_DIR"), "/fuzzee.so");
        registry::load(state, file, "", None).expect("the library fits");
        // SAFETY: it was just mapped, and stays.
        let library = unsafe { libloading::Library::new(file) }.expect("it is mapped");
        // SAFETY: the library has these.
        let table: extern "C" fn() -> *const dss_api = unsafe { *library.get(b"fuzzee_table").unwrap() };
        // SAFETY: as above.
        let handle: extern "C" fn() -> dss_library = unsafe { *library.get(b"fuzzee_handle").unwrap() };
        // SAFETY: as above.
        let class: extern "C" fn() -> *const dss_class = unsafe { *library.get(b"fuzzee_thing").unwrap() };
        std::mem::forget(library);
        // SAFETY: DSS's table is there until the process ends.
        let api = unsafe { &*table() };
        let callback = || state.dispatcher.new_callback().expect("a callback");
        let callbacks = [callback(), callback(), callback()];
        Mutex::new(World { state, api, library: handle(), class: class().addr(), callbacks })
    })
}

/// What is left of an input.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
            253 => 1 << (self.byte() % 64),
            small => u64::from(small),
        }
    }
}

/// Values of one call, which stay where they are.
#[derive(Default)]
struct Arena {
    lists: Vec<Box<[dss_value]>>,
    strings: Vec<Box<[u8]>>,
    // In boxes, because the values have their addresses.
    #[expect(clippy::vec_box)]
    objects: Vec<Box<dss_object>>,
}

impl World {
    fn callback(&self, input: &mut Input<'_>) -> dss_callback {
        match input.byte() {
            at @ 0..200 => self.callbacks[usize::from(at) % 3].id().to_raw(),
            _ => input.word(),
        }
    }

    fn library(&self, input: &mut Input<'_>) -> dss_library {
        if input.byte() < 230 { self.library } else { input.word() }
    }

    fn value(&self, input: &mut Input<'_>, arena: &mut Arena, depth: usize) -> dss_value {
        let plain = |kind, integer: u64| dss_value {
            kind,
            count: 0,
            payload: dss_payload { integer: integer as i64 },
            size: 0,
        };
        match input.byte() % 16 {
            0 => plain(DSS_NIL, 0),
            1 => plain(DSS_BOOLEAN, input.word()),
            2 | 3 => plain(DSS_INTEGER, input.word()),
            4 => plain(DSS_NUMBER, input.word()),
            5 | 6 => {
                let bytes: Box<[u8]> = (0..input.byte() % 40).map(|_| input.byte()).collect();
                let value = dss_value {
                    payload: dss_payload { string: bytes.as_ptr().cast() },
                    size: bytes.len(),
                    ..plain(DSS_STRING, 0)
                };
                arena.strings.push(bytes);
                value
            }
            // Without memory.
            7 => dss_value {
                count: input.word() as u32,
                size: input.word() as usize,
                ..plain(u32::from(input.byte()) % 10, 0)
            },
            8..=10 if depth < 70 => {
                let map = input.byte() % 2;
                let count = usize::from(input.byte() % 5);
                let items: Box<[dss_value]> =
                    (0..count << map).map(|_| self.value(input, arena, depth + 1)).collect();
                let value = dss_value {
                    count: count as u32,
                    payload: dss_payload { items: items.as_ptr() },
                    ..plain(DSS_LIST + u32::from(map), 0)
                };
                arena.lists.push(items);
                value
            }
            // A list in itself, once or twice.
            11 => {
                let count = usize::from(1 + input.byte() % 2);
                let mut items = vec![plain(DSS_NIL, 0); count].into_boxed_slice();
                let first = items.as_mut_ptr();
                let list = dss_value {
                    count: count as u32,
                    payload: dss_payload { items: first },
                    ..plain(DSS_LIST, 0)
                };
                items.fill(list);
                arena.lists.push(items);
                list
            }
            12 | 13 => plain(DSS_CALLBACK, self.callback(input)),
            14 => {
                let cls = match input.byte() {
                    0..200 => std::ptr::with_exposed_provenance(self.class),
                    200..230 => null(),
                    _ => std::ptr::without_provenance(input.word() as usize),
                };
                // Each is given once, as the contract wants.
                static NEXT: AtomicU64 = AtomicU64::new(1);
                let next = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
                let data = std::ptr::without_provenance_mut(if input.byte() < 240 { next * 16 } else { 0 });
                let object = Box::new(dss_object { cls, data });
                let value =
                    dss_value { payload: dss_payload { object: &raw const *object }, ..plain(DSS_OBJECT, 0) };
                arena.objects.push(object);
                value
            }
            // Of no kind.
            _ => plain(9_u32.saturating_add(input.word() as u32), input.word()),
        }
    }

    fn delivery(&self, input: &mut Input<'_>, arena: &mut Arena, key: &[u8]) -> dss_delivery {
        let values: Box<[dss_value]> = (0..input.byte() % 12).map(|_| self.value(input, arena, 0)).collect();
        let (mut first, mut count) = (values.as_ptr(), values.len());
        arena.lists.push(values);
        let odd = input.byte();
        if odd > 250 {
            (first, count) = (null(), input.word() as usize);
        }
        let size = if odd < 240 { size_of::<dss_delivery>() as u32 } else { u32::from(input.byte()) };
        let channel = if input.byte() < 200 { 0 } else { input.word() as u32 };
        let (key, key_size) = match input.byte() {
            0..100 => (null(), 0),
            100..240 => (key.as_ptr(), key.len()),
            _ => (null(), input.word() as usize),
        };
        let callback = self.callback(input);
        dss_delivery { size, channel, callback, values: first, count, key: key.cast(), key_size }
    }

    fn limits(input: &mut Input<'_>) -> dss_limits {
        dss_limits {
            size: if input.byte() < 230 { size_of::<dss_limits>() as u32 } else { input.word() as u32 },
            policy: u32::from(input.byte() % 7),
            items: input.word(),
            bytes: input.word(),
            wait_ns: input.word(),
        }
    }

    /// Runs one call; returns how many requests it was that were taken.
    fn step(&self, input: &mut Input<'_>) -> u64 {
        let mut arena = Arena::default();
        let key = [input.byte() % 3];
        let library = self.library(input);
        let api = self.api;
        let context = std::ptr::without_provenance_mut(0x5a5a);
        let mut ticket = 0;
        // SAFETY of all: the table's contract, but for what the edge can tell.
        match input.byte() % 16 {
            0..=3 => {
                let delivery = self.delivery(input, &mut arena, &key);
                unsafe { (api.deliver)(library, &raw const delivery, &raw mut ticket) };
                if input.byte() > 200 {
                    unsafe { (api.cancel)(library, ticket) };
                }
            }
            4 | 5 => {
                // All have the size that the first states, which is the real one here.
                let all: Vec<_> = (0..input.byte() % 6)
                    .map(|_| dss_delivery {
                        size: size_of::<dss_delivery>() as u32,
                        ..self.delivery(input, &mut arena, &key)
                    })
                    .collect();
                let mut taken = usize::MAX;
                let first = if all.is_empty() { null() } else { all.as_ptr() };
                unsafe { (api.deliver_many)(library, first, all.len(), &raw mut taken, &raw mut ticket) };
                assert!(taken <= all.len());
            }
            6..=8 => {
                let delivery = self.delivery(input, &mut arena, &key);
                let deadline = if input.byte() > 200 { input.word().saturating_mul(1000) } else { 0 };
                let done: dss_done = if input.byte() < 250 { Some(completed) } else { None };
                let code = unsafe {
                    (api.request)(
                        library,
                        &raw const delivery,
                        deadline,
                        deadline / 2,
                        done,
                        context,
                        &raw mut ticket,
                    )
                };
                if input.byte() > 200 {
                    unsafe { (api.cancel)(library, ticket) };
                }
                return u64::from(code == DSS_OK);
            }
            9 => {
                let delivery = self.delivery(input, &mut arena, &key);
                let code =
                    unsafe { (api.wait)(library, &raw const delivery, 0, 1, Some(completed), context) };
                assert_ne!(code, DSS_OK, "this is the Lua thread");
            }
            10 => {
                let limits = Self::limits(input);
                let channel = if input.byte() < 200 { 0 } else { input.word() as u32 };
                unsafe { (api.limit)(library, channel, &raw const limits) };
            }
            11 => {
                let limits = Self::limits(input);
                let mut channel = 0;
                let opened = unsafe {
                    (api.open_channel)(library, c"channel".as_ptr(), &raw const limits, &raw mut channel)
                };
                let delivery = dss_delivery { channel, ..self.delivery(input, &mut arena, &key) };
                unsafe { (api.deliver)(library, &raw const delivery, null_mut()) };
                if opened == DSS_OK {
                    assert_eq!(unsafe { (api.close_channel)(library, channel) }, DSS_OK);
                }
            }
            12 => {
                let callback = self.callback(input);
                if unsafe { (api.retain)(callback) } == DSS_OK {
                    unsafe { (api.release)(callback) };
                }
            }
            13 => {
                let callback = self.callback(input);
                unsafe { (api.cancel_all)(library, callback) };
            }
            14 => {
                let call = input.word();
                let value = self.value(input, &mut arena, 0);
                assert_eq!(unsafe { (api.result)(call, &raw const value) }, DSS_INVALID_CALL);
                assert_eq!(unsafe { (api.raise)(call, null()) }, DSS_INVALID_CALL);
                assert!(unsafe { (api.state)(call) }.is_null());
            }
            _ => self.take(usize::from(input.byte())),
        }
        0
    }

    /// Lua takes up to so many items.
    fn take(&self, most: usize) {
        for _ in 0..most {
            // SAFETY: this thread is the one that uses the state.
            let Ok(Some(taken)) = (unsafe { self.state.dispatcher.take_one() }) else { break };
            let mut failure = Failure::default();
            // SAFETY: as above, with a Lua that is nowhere.
            let count =
                unsafe { taken.adapter.decode(null_mut(), taken.handle, &taken.payload, &mut failure) };
            let end = if count == FAILED { DecodeEnd::Failed } else { DecodeEnd::Over };
            self.state.dispatcher.decoded(&taken, end);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let world = world().lock().unwrap();
    world.take(1);
    let mut input = Input(bytes);
    let before = COMPLETED.load(Ordering::SeqCst);
    let mut requests = 0;
    while !input.0.is_empty() {
        requests += world.step(&mut input);
    }
    // All that was taken ends, and each request once.
    world.take(usize::MAX);
    let mut rounds = 0;
    while COMPLETED.load(Ordering::SeqCst) - before < requests {
        // One that the thread for deadlines is just ending.
        std::thread::yield_now();
        rounds += 1;
        assert!(rounds < 10_000_000, "a request was not ended");
    }
    assert_eq!(COMPLETED.load(Ordering::SeqCst) - before, requests, "a request ended twice");
    let limits =
        dss_limits { size: size_of::<dss_limits>() as u32, policy: 0, items: 0, bytes: 0, wait_ns: 0 };
    // SAFETY: the table's contract.
    unsafe { (world.api.limit)(world.library, 0, &raw const limits) };
});
