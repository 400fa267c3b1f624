//! A DSS that is made up: it takes or refuses what it is told to, and counts what it gets.
#![allow(dead_code)] // each test takes what it needs

use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::os::raw::c_void;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RBox, RErr, RNone, ROk, RResult, RSlice, RSome, RStr, RString, RVec};
use dss_abi_v2::contract::*;
use dss_abi_v2::value::{RawCallback, RawValue, ReleaseFn};
use dss_abi_v2::{Callback, Library};

/// References to callbacks that are alive, by callback.
static REFERENCES: Mutex<Option<HashMap<u64, i64>>> = Mutex::new(None);
static NEXT: AtomicU64 = AtomicU64::new(1);

fn count(callback: u64, more: i64) -> i64 {
    let mut all = REFERENCES.lock().unwrap();
    let references = all.get_or_insert_with(HashMap::new).entry(callback).or_insert(0);
    *references += more;
    *references
}

unsafe extern "C" fn release(callback: u64) {
    assert!(count(callback, -1) >= 0, "a reference is given back once");
}

pub(crate) fn raw_callback(id: u64) -> RawCallback {
    count(id, 1);
    // SAFETY: counted just now, and given back by `release`.
    unsafe { RawCallback::new(id, ReleaseFn(release)) }
}

pub(crate) fn references(callback: u64) -> i64 {
    count(callback, 0)
}

/// A delivery that was taken: the callback, the values and the key.
type Delivery = (u64, Vec<RawValue>, Vec<u8>);

/// A request that was taken.
struct Taken {
    values: Vec<RawValue>,
    complete: CompleteFn,
    context: usize,
    begun: bool,
}

#[derive(Default)]
pub(crate) struct Shared {
    /// What the next calls are refused with.
    pub(crate) refuse: Mutex<Option<Code>>,
    /// How many items of batches are taken yet.
    pub(crate) room: Mutex<Option<usize>>,
    /// How many batches came.
    pub(crate) batches: AtomicU64,
    pub(crate) on_lua_thread: Mutex<bool>,
    /// Whether Lua begins with a request as soon as it comes.
    pub(crate) begins: Mutex<bool>,
    pub(crate) retain: Mutex<Option<Code>>,
    pub(crate) delivered: Mutex<Vec<Delivery>>,
    pub(crate) registered: Mutex<Option<RawRegistration>>,
    pub(crate) unregistered: AtomicU64,
    pub(crate) ended: AtomicI64,
    pub(crate) holds: AtomicI64,
    pub(crate) limits: Mutex<Option<RawLimits>>,
    requests: Mutex<HashMap<u64, Taken>>,
    came: Condvar,
    tickets: AtomicU64,
}

// SAFETY: what is in a registration lives as long as the process.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn refused(&self) -> Option<Code> {
        *self.refuse.lock().unwrap()
    }

    fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits for a request.
    pub(crate) fn next_request(&self) -> u64 {
        let mut requests = self.requests.lock().unwrap();
        loop {
            if let Some(ticket) = requests.keys().min() {
                return *ticket;
            }
            requests = self.came.wait(requests).unwrap();
        }
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Lua begins with a request: its values.
    pub(crate) fn begin(&self, ticket: u64) -> Vec<RawValue> {
        let mut requests = self.requests.lock().unwrap();
        let taken = requests.get_mut(&ticket).expect("it is there");
        taken.begun = true;
        std::mem::take(&mut taken.values)
    }

    /// Ends a request; false where it is over.
    pub(crate) fn complete(&self, ticket: u64, ended: u32, values: Vec<RawValue>, text: &str) -> bool {
        let (text, traceback) = match text.split_once('\n') {
            Some((text, traceback)) => (text, traceback),
            None => (text, ""),
        };
        let taken = self.requests.lock().unwrap().remove(&ticket);
        let taken = match taken {
            Some(taken) => taken,
            None => return false,
        };
        let answer = RawAnswer {
            ended,
            values: RVec::from(values),
            message: RString::from(text),
            traceback: RString::from(traceback),
        };
        // SAFETY: it is completed once, for it was removed.
        unsafe { (taken.complete.0)(taken.context as *mut c_void, answer) };
        true
    }
}

/// Takes the values of a delivery.
fn take(delivery: &RawDelivery<'_>) -> Vec<RawValue> {
    (0..delivery.count)
        .map(|at| {
            // SAFETY: there are `count` values.
            let place = unsafe { delivery.values.add(at) };
            // SAFETY: the library forgets them, once they are taken.
            ManuallyDrop::into_inner(unsafe { place.read() })
        })
        .collect()
}

struct Fake(Arc<Shared>);

impl Service for Fake {
    fn register(&self, state: usize, registration: RawRegistration) -> RResult<Registered, Code> {
        if let Some(code) = self.0.refused() {
            return RErr(code);
        }
        let already = self.0.registered.lock().unwrap().replace(registration).is_some();
        ROk(Registered { handle: state + 1, already })
    }

    fn unregister(&self, _: usize) -> RResult<(), Code> {
        self.0.unregistered.fetch_add(1, Ordering::Relaxed);
        ROk(())
    }

    fn deliver(&self, _: usize, delivery: RawDelivery<'_>) -> RResult<Accepted, Code> {
        if let Some(code) = self.0.refused() {
            return RErr(code);
        }
        let values = take(&delivery);
        self.0.delivered.lock().unwrap().push((delivery.callback, values, delivery.key.to_vec()));
        ROk(Accepted { ticket: self.0.ticket(), announced: true })
    }

    fn deliver_many(&self, handle: usize, deliveries: RSlice<'_, RawDelivery<'_>>) -> AcceptedMany {
        let mut many = AcceptedMany { taken: 0, first: 0, announced: true, refused: RNone };
        self.0.batches.fetch_add(1, Ordering::Relaxed);
        if let Some(code) = self.0.refused() {
            many.refused = RSome(code);
            return many;
        }
        let mut left = self.0.room.lock().unwrap();
        let room = left.unwrap_or(deliveries.len()).min(deliveries.len());
        *left = left.map(|left| left - room);
        drop(left);
        for delivery in deliveries.iter().take(room) {
            let accepted = self.deliver(handle, *delivery).into_result().expect("it is not refused");
            if many.taken == 0 {
                many.first = accepted.ticket;
            }
            many.taken += 1;
        }
        if many.taken < deliveries.len() {
            many.refused = RSome(Code::FULL);
        }
        many
    }

    fn request(&self, _: usize, request: RawRequest<'_>) -> RResult<Accepted, Code> {
        if let Some(code) = self.0.refused() {
            return RErr(code);
        }
        let ticket = self.0.ticket();
        let taken = Taken {
            values: take(&request.delivery),
            complete: request.complete,
            context: request.context as usize,
            begun: *self.0.begins.lock().unwrap(),
        };
        self.0.requests.lock().unwrap().insert(ticket, taken);
        self.0.came.notify_all();
        ROk(Accepted { ticket, announced: true })
    }

    fn end(&self, _: usize, ticket: u64, ended: u32, queued_only: bool) -> bool {
        let begun = match self.0.requests.lock().unwrap().get(&ticket) {
            Some(taken) => taken.begun,
            None => return false,
        };
        if queued_only && begun {
            return false;
        }
        self.0.ended.store(ended.into(), Ordering::Relaxed);
        self.0.complete(ticket, ended, Vec::new(), "")
    }

    fn end_all(&self, _: usize, callback: u64, ended: u32) -> usize {
        self.0.ended.store(ended.into(), Ordering::Relaxed);
        self.0.delivered.lock().unwrap().iter().filter(|(of, ..)| *of == callback).count()
    }

    fn limit(&self, _: usize, limits: RawLimits) -> RResult<(), Code> {
        *self.0.limits.lock().unwrap() = Some(limits);
        self.0.refused().map_or(ROk(()), RErr)
    }

    fn keep_alive(&self, _: usize, _: bool) -> RResult<(), Code> {
        self.0.refused().map_or(ROk(()), RErr)
    }

    fn hold(&self, _: usize) -> RResult<(), Code> {
        if let Some(code) = self.0.refused() {
            return RErr(code);
        }
        self.0.holds.fetch_add(1, Ordering::Relaxed);
        ROk(())
    }

    fn let_go(&self, _: usize) {
        self.0.holds.fetch_sub(1, Ordering::Relaxed);
    }

    fn retain(&self, callback: u64) -> RResult<RawCallback, Code> {
        match *self.0.retain.lock().unwrap() {
            Some(code) => RErr(code),
            None => ROk(raw_callback(callback)),
        }
    }

    fn extension(&self, _: RStr<'_>) -> *const c_void {
        std::ptr::null()
    }

    fn on_lua_thread(&self, _: usize) -> bool {
        *self.0.on_lua_thread.lock().unwrap()
    }
}

/// A library that is registered with a DSS of its own.
pub(crate) struct World {
    pub(crate) dss: Arc<Shared>,
    pub(crate) service: &'static ServiceObject,
    pub(crate) library: Library,
}

pub(crate) fn world() -> World {
    let dss = Arc::new(Shared::default());
    let object = ServiceObject::from_ptr(RBox::new(Fake(Arc::clone(&dss))), TD_Opaque);
    let service: &'static ServiceObject = Box::leak(Box::new(object));
    World { dss, service, library: Library::new(service, 7) }
}

impl World {
    /// A callback, and what it is called.
    pub(crate) fn callback(&self) -> (Callback, u64) {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        (Callback::new(raw_callback(id), self.service), id)
    }

    pub(crate) fn refuse(&self, code: Code) {
        *self.dss.refuse.lock().unwrap() = Some(code);
    }
}

/// Waits until `done`, for a while.
pub(crate) fn until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it takes too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}
