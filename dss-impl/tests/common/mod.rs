//! A library made up for the tests, which records every call of its code, and what every test begins with.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use dss_impl::callbacks::CallbackId;
use dss_impl::capacity::{Limits, Policy};
use dss_impl::delivery::{Accepted, Announced, DeliverError, Delivery};
use dss_impl::dispatcher::{DecodeEnd, Dispatcher, PendingId, RegisterError};
use dss_impl::handle::Handle;
use dss_impl::library::{LibraryInfo, Registration, Terms};
use dss_impl::outcome::{Failure, Outcome};
use dss_impl::payload::Payload;
use dss_impl::port::{Adapter, Answers, ReplyPort, RequestPort, Stage};
use dss_impl::value::{Raised, Value};

/// A call of a library's code, with the payload's data or the registration's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    CancelQueued(usize),
    CancelWaiting(usize),
    Finish(usize),
    Closing(usize),
    Release(usize),
    Complete(usize, Outcome),
}

type Hook = Arc<dyn Fn(Call, Handle) + Send + Sync>;

/// The made-up library.
#[derive(Default)]
pub(crate) struct Library {
    calls: Mutex<Vec<Call>>,
    hook: Mutex<Option<Hook>>,
    /// Its revision answers by what Lua's function returns.
    pub(crate) answers: AtomicBool,
    /// Its revision is one whose libraries' code may be left by an exception, for which a panic in its hook stands.
    pub(crate) throws: AtomicBool,
}

impl Library {
    pub(crate) fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    /// Runs `hook` in every later call, after the call was recorded, with no lock of this library held. A call whose
    /// contract gives it no handle comes with a made-up one.
    pub(crate) fn on_call(&self, hook: impl Fn(Call, Handle) + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    /// The calls since this was last asked.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn called(&self, call: Call, handle: Handle) {
        self.calls.lock().unwrap().push(call);
        let hook = self.hook.lock().unwrap().clone();
        if let Some(hook) = hook {
            hook(call, handle);
        }
    }

    pub(crate) fn registration(&'static self, libid: usize) -> Registration {
        Registration {
            libid,
            name: Some(format!("library {libid}").into()),
            adapter: self,
            context: libid,
            terms: None,
        }
    }

    /// Registers it with bounds.
    pub(crate) fn register_bounded(
        &'static self,
        dispatcher: &Dispatcher,
        libid: usize,
        limits: Limits,
    ) -> Handle {
        let terms = Terms { version: "1.2.3".into(), file: None, limits, keeps_alive: true };
        let handle =
            dispatcher.register(Registration { terms: Some(terms), ..self.registration(libid) }).unwrap();
        self.note(dispatcher, handle);
        handle
    }

    /// Registers it under `libid`, which is its context too.
    pub(crate) fn register(
        &'static self,
        dispatcher: &Dispatcher,
        libid: usize,
    ) -> Result<Handle, RegisterError> {
        dispatcher.register(self.registration(libid)).inspect(|handle| self.note(dispatcher, *handle))
    }

    /// Notes whose handle it is, for [`Deliver::hand_over`].
    fn note(&'static self, dispatcher: &Dispatcher, handle: Handle) {
        REGISTERED.lock().unwrap().get_or_insert_default().insert(key(dispatcher, handle), self);
    }
}

/// The libraries that were registered, by dispatcher and handle.
static REGISTERED: Mutex<Option<HashMap<(usize, usize), &'static Library>>> = Mutex::new(None);

fn key(dispatcher: &Dispatcher, handle: Handle) -> (usize, usize) {
    (std::ptr::from_ref(dispatcher).addr(), handle.to_raw())
}

/// The made-up library's payloads are its data, and a mark.
pub(crate) fn data_of(payload: &Payload) -> usize {
    payload.0[0]
}

const REQUEST: usize = 1;
/// What this marks is not finished: its library has no word for that, as 1.0.
pub(crate) const SILENT: usize = 2;

impl Adapter for Library {
    fn revision(&self) -> &'static str {
        "made up"
    }

    fn number(&self) -> u32 {
        NUMBER
    }

    fn may_throw(&self) -> bool {
        self.throws.load(SeqCst)
    }

    fn answers(&self) -> Answers<'_> {
        if self.answers.load(SeqCst) { Answers::Return(self) } else { Answers::Function(self) }
    }

    unsafe fn decode(&self, _: *mut c_void, _: Handle, _: &Payload, _: &mut Failure) -> c_int {
        unreachable!("the core does not decode")
    }

    unsafe fn discard(&self, handle: Handle, payload: &Payload, stage: Stage) {
        let data = data_of(payload);
        match stage {
            Stage::Queued => self.called(Call::CancelQueued(data), handle),
            Stage::Waiting => self.called(Call::CancelWaiting(data), handle),
            Stage::Finished | Stage::Discarded if payload.0[1] == SILENT => {}
            Stage::Finished | Stage::Discarded => self.called(Call::Finish(data), Handle::from_raw(0)),
        }
    }

    unsafe fn closing(&self, handle: Handle, context: usize) {
        self.called(Call::Closing(context), handle);
    }

    unsafe fn release(&self, context: usize) {
        self.called(Call::Release(context), Handle::from_raw(0));
    }
}

impl ReplyPort for Library {
    unsafe fn reply(&self, _: *mut c_void, _: Handle, _: &Payload, _: bool, _: &mut Failure) -> c_int {
        unreachable!("the core does not reply")
    }
}

impl RequestPort for Library {
    unsafe fn answer(&self, _: &Payload, _: Result<Vec<Value>, Raised>) -> Result<(), String> {
        unreachable!("the core does not answer")
    }

    unsafe fn complete(&self, payload: &Payload, outcome: Outcome) {
        self.called(Call::Complete(data_of(payload), outcome), Handle::from_raw(0));
    }
}

/// Handing over, as the tests want to say it.
pub(crate) trait Deliver {
    /// Hands over what counts no bytes.
    fn deliver_plain(&self, handle: Handle, payload: Payload) -> Result<Announced, DeliverError>;
    /// Hands over an item, or what [`request`] made, which is completed.
    fn hand_over(&self, handle: Handle, delivery: Delivery<'_>) -> Result<Accepted, DeliverError>;
    /// Ends all for a callback, whose number is the data.
    fn end_all_for(&self, handle: Handle, callback: CallbackId, outcome: Outcome) -> usize;
}

impl Deliver for Dispatcher {
    fn deliver_plain(&self, handle: Handle, payload: Payload) -> Result<Announced, DeliverError> {
        self.deliver(handle, Delivery::new(NUMBER, payload)).map(|accepted| accepted.announced)
    }

    fn hand_over(&self, handle: Handle, delivery: Delivery<'_>) -> Result<Accepted, DeliverError> {
        if delivery.payload.0[1] != REQUEST {
            return self.deliver(handle, delivery);
        }
        let library = REGISTERED.lock().unwrap().as_ref().and_then(|it| it.get(&key(self, handle)).copied());
        self.request(handle, delivery, library.unwrap_or_else(|| Library::new()))
    }

    fn end_all_for(&self, handle: Handle, callback: CallbackId, outcome: Outcome) -> usize {
        self.end_all(handle, NUMBER, outcome, |payload| data_of(payload) as u64 == callback.to_raw())
    }
}

/// A dispatcher of the test's own that serves a state on this thread, and its epoch.
pub(crate) fn open() -> (&'static Dispatcher, u64) {
    let dispatcher: &'static Dispatcher = Box::leak(Box::new(Dispatcher::new(7)));
    assert!(dispatcher.claim());
    (dispatcher, dispatcher.open())
}

/// A state with one library.
pub(crate) fn house() -> (&'static Dispatcher, u64, &'static Library, Handle) {
    let (dispatcher, epoch) = open();
    let library = Library::new();
    let handle = library.register(dispatcher, 1).unwrap();
    (dispatcher, epoch, library, handle)
}

/// The number of the made-up library's revision.
pub(crate) const NUMBER: u32 = 7;

/// A delivery that counts no bytes.
pub(crate) fn plain(data: usize) -> Delivery<'static> {
    Delivery::new(NUMBER, payload(data))
}

/// What carries `data`.
pub(crate) fn payload(data: usize) -> Payload {
    Payload([data, 0, 0])
}

/// A state with one library that may have so many items queued, and 1,000 bytes.
pub(crate) fn bounded_house(
    items: usize,
    policy: Policy,
) -> (&'static Dispatcher, u64, &'static Library, Handle) {
    let (dispatcher, epoch) = open();
    let library = Library::new();
    let handle = library.register_bounded(dispatcher, 1, Limits { items, bytes: 1000, policy });
    (dispatcher, epoch, library, handle)
}

/// An item of one byte, which is told its finish.
pub(crate) fn item(data: usize) -> Delivery<'static> {
    Delivery { bytes: 1, ..plain(data) }
}

/// An item whose library is told how it ended.
pub(crate) fn request(data: usize) -> Delivery<'static> {
    Delivery { payload: Payload([data, REQUEST, 0]), ..item(data) }
}

/// Hands over, and waits where the policy says so.
pub(crate) fn hand_over(
    dispatcher: &Dispatcher,
    handle: Handle,
    delivery: Delivery<'_>,
) -> Result<u64, DeliverError> {
    let Accepted { sequence, .. } = dispatcher.hand_over(handle, delivery)?;
    Ok(sequence)
}

/// Takes a request, whose reply Lua has from then on.
pub(crate) fn take_request(dispatcher: &Dispatcher) -> PendingId {
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    assert!(dispatcher.decoded(&taken, DecodeEnd::Values).reply);
    taken.pending.unwrap()
}

/// Polls once; returns the data of what was there.
pub(crate) fn poll(dispatcher: &Dispatcher) -> Option<usize> {
    let taken = unsafe { dispatcher.take_one() }.unwrap()?;
    dispatcher.decoded(&taken, DecodeEnd::Over);
    Some(data_of(&taken.payload))
}

/// What is said of the library that registered first.
pub(crate) fn info(dispatcher: &Dispatcher) -> LibraryInfo {
    dispatcher.libraries().unwrap().remove(0)
}

/// An item of so many bytes.
pub(crate) fn sized(data: usize, bytes: u32) -> Delivery<'static> {
    Delivery { bytes, ..item(data) }
}

/// An item with a key.
pub(crate) fn keyed(data: usize, key: &[u8]) -> Delivery<'_> {
    Delivery { key, ..item(data) }
}

/// Polls for all there is.
pub(crate) fn drain(dispatcher: &Dispatcher) -> Vec<usize> {
    std::iter::from_fn(|| poll(dispatcher)).collect()
}

/// Starts a thread that delivers `data` and waits, and comes back when that is queued.
pub(crate) fn waiting_thread(
    dispatcher: &'static Dispatcher,
    handle: Handle,
    data: usize,
) -> std::thread::JoinHandle<Outcome> {
    let before = dispatcher.queue_size();
    let thread = std::thread::spawn(move || dispatcher.deliver_and_wait(handle, plain(data)).unwrap().0);
    while dispatcher.queue_size() == before {
        std::thread::yield_now();
    }
    thread
}

/// A thread that waits for its reply, and the ticket of that.
pub(crate) fn waiting_for_reply(
    dispatcher: &'static Dispatcher,
    handle: Handle,
    data: usize,
) -> (std::thread::JoinHandle<Outcome>, PendingId) {
    let thread = waiting_thread(dispatcher, handle, data);
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    assert!(dispatcher.decoded(&taken, DecodeEnd::Values).reply);
    (thread, taken.pending.unwrap())
}

/// A small generator of numbers, the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        // Steele and Vigna's splitmix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The places of functions that nobody refers to any more; none where there are none.
pub(crate) fn released(dispatcher: &Dispatcher) -> Option<Vec<u32>> {
    dispatcher
        .has_released_callbacks()
        .then(|| std::iter::from_fn(|| dispatcher.next_released_callback()).collect())
}
