//! A library made up for the tests, which records every call of its code, and what every test begins with.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use dss_impl::adapter::Adapter;
use dss_impl::bounds::{Limits, Policy};
use dss_impl::callbacks::CallbackId;
use dss_impl::clock::Stamp;
use dss_impl::delivery::{Failure, Outcome, Parcel};
use dss_impl::dispatcher::{
    Accepted, BoundedError, Consignment, DecodeEnd, Dispatcher, RegisterError, Ticket,
};
use dss_impl::handle::Handle;
use dss_impl::library::{LibraryInfo, Registration, Terms};

/// A call of a library's code, with the parcel's data or the registration's context.
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
        dispatcher.register(Registration { terms: Some(terms), ..self.registration(libid) }).unwrap()
    }

    /// Registers it under `libid`, which is its context too.
    pub(crate) fn register(
        &'static self,
        dispatcher: &Dispatcher,
        libid: usize,
    ) -> Result<Handle, RegisterError> {
        dispatcher.register(self.registration(libid))
    }
}

impl Adapter for Library {
    fn revision(&self) -> &'static str {
        "made up"
    }

    fn may_throw(&self) -> bool {
        self.throws.load(SeqCst)
    }

    unsafe fn decode(&self, _: *mut c_void, _: Handle, _: &Parcel, _: &mut Failure) -> c_int {
        unreachable!("the core does not decode")
    }

    unsafe fn reply(&self, _: *mut c_void, _: Handle, _: &Parcel, _: bool, _: &mut Failure) -> c_int {
        unreachable!("the core does not reply")
    }

    unsafe fn cancel_queued(&self, handle: Handle, parcel: &Parcel) {
        self.called(Call::CancelQueued(parcel.data), handle);
    }

    unsafe fn cancel_waiting(&self, handle: Handle, parcel: &Parcel) {
        self.called(Call::CancelWaiting(parcel.data), handle);
    }

    unsafe fn finish(&self, parcel: &Parcel) {
        self.called(Call::Finish(parcel.data), Handle::from_raw(0));
    }

    fn answers_by_return(&self) -> bool {
        self.answers.load(SeqCst)
    }

    /// A parcel's function stands for the time, where it is more than the one that all have.
    fn delivered_at(&self, parcel: &Parcel) -> Stamp {
        if parcel.decode > 1 { Stamp::from_raw(parcel.decode) } else { Stamp::NONE }
    }

    /// A parcel is for the callback whose number its data is.
    unsafe fn is_for(&self, parcel: &Parcel, callback: CallbackId) -> bool {
        parcel.data as u64 == callback.to_raw()
    }

    unsafe fn complete(&self, parcel: &Parcel, outcome: Outcome) {
        self.called(Call::Complete(parcel.data, outcome), Handle::from_raw(0));
    }

    unsafe fn cancel_library(&self, handle: Handle, context: usize) {
        self.called(Call::Closing(context), handle);
    }

    unsafe fn release_library(&self, context: usize) {
        self.called(Call::Release(context), Handle::from_raw(0));
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

/// What no thread waits for, and what the library wants to be told the end of.
pub(crate) fn parcel(data: usize) -> Parcel {
    Parcel { decode: 1, reply: 0, finish: 1, data }
}

/// What a thread waits for.
pub(crate) fn waited(data: usize) -> Parcel {
    Parcel { decode: 1, reply: 1, finish: 0, data }
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
pub(crate) fn item(data: usize) -> Consignment<'static> {
    Consignment { parcel: parcel(data), bytes: 1, key: &[], completes: false }
}

/// An item whose library is told how it ended.
pub(crate) fn request(data: usize) -> Consignment<'static> {
    Consignment { parcel: waited(data), bytes: 1, key: &[], completes: true }
}

/// Hands over, and waits where the policy says so.
pub(crate) fn hand_over(
    dispatcher: &Dispatcher,
    handle: Handle,
    consignment: Consignment<'_>,
) -> Result<u64, BoundedError> {
    let Accepted { sequence, .. } = dispatcher.deliver_bounded(handle, consignment, true)?;
    Ok(sequence)
}

/// Takes a request, whose reply Lua has from then on.
pub(crate) fn take_request(dispatcher: &Dispatcher) -> Ticket {
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    assert!(dispatcher.decoded(&taken, DecodeEnd::Values).reply);
    taken.ticket.unwrap()
}

/// Polls once; returns the data of what was there.
pub(crate) fn poll(dispatcher: &Dispatcher) -> Option<usize> {
    let taken = unsafe { dispatcher.take_one() }.unwrap()?;
    dispatcher.decoded(&taken, DecodeEnd::Over);
    Some(taken.parcel.data)
}

/// What is said of the library that registered first.
pub(crate) fn info(dispatcher: &Dispatcher) -> LibraryInfo {
    dispatcher.libraries().unwrap().remove(0)
}

/// An item of so many bytes.
pub(crate) fn sized(data: usize, bytes: u32) -> Consignment<'static> {
    Consignment { bytes, ..item(data) }
}

/// An item with a key.
pub(crate) fn keyed(data: usize, key: &[u8]) -> Consignment<'_> {
    Consignment { key, ..item(data) }
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
    let thread = std::thread::spawn(move || dispatcher.deliver_and_wait(handle, waited(data)).unwrap().0);
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
) -> (std::thread::JoinHandle<Outcome>, Ticket) {
    let thread = waiting_thread(dispatcher, handle, data);
    let taken = unsafe { dispatcher.take_one() }.unwrap().unwrap();
    assert!(dispatcher.decoded(&taken, DecodeEnd::Values).reply);
    (thread, taken.ticket.unwrap())
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
