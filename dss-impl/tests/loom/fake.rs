//! A library made up for the models, which counts what happens to it, and what every model begins with.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use dss_impl::adapter::Adapter;
use dss_impl::bounds::{Limits, Policy};
use dss_impl::callbacks::CallbackId;
use dss_impl::delivery::{Failure, Outcome, Parcel};
use dss_impl::dispatcher::{BoundedError, Consignment, DecodeEnd, Decoded, Dispatcher, Taken};
use dss_impl::handle::Handle;
use dss_impl::library::{Registration, Terms};
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

/// A limit that a model, which has no clock, never reaches.
pub(crate) const FOREVER: Duration = Duration::MAX;

/// What happened to one parcel. Its index is the parcel's data. The counters are not modelled: the threads of a model
/// take turns.
#[derive(Default)]
pub(crate) struct Fate {
    pub(crate) decoded: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
    pub(crate) cancelled_waiting: AtomicUsize,
    pub(crate) finished: AtomicUsize,
    pub(crate) completed: AtomicUsize,
    /// How it was completed last.
    pub(crate) outcome: std::sync::Mutex<Option<Outcome>>,
    /// Its owner has it back: nobody may touch it.
    pub(crate) gone: AtomicBool,
}

#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) fates: [Fate; 3],
    pub(crate) told: AtomicUsize,
    pub(crate) released: AtomicUsize,
    /// Calls into the library's code that run now.
    pub(crate) inside: AtomicUsize,
    /// Those of them that sleep until another thread of the library's is done.
    pub(crate) joining: AtomicUsize,
    /// It has been unregistered: none of its code may be called.
    pub(crate) left: AtomicBool,
    /// Where its cancel function sleeps until another thread of its is done.
    joins: std::sync::OnceLock<Join>,
}

/// The end of a thread, for another to wait for; made before the thread is.
struct Join {
    done: loom::sync::Mutex<bool>,
    ended: loom::sync::Condvar,
}

impl Fake {
    fn call(&self, what: impl FnOnce()) {
        assert!(!self.left.load(SeqCst), "called after it was unregistered");
        self.inside.fetch_add(1, SeqCst);
        what();
        // A place where the model may change threads.
        loom::thread::yield_now();
        assert!(!self.left.load(SeqCst), "unregistered while a call runs");
        self.inside.fetch_sub(1, SeqCst);
    }

    /// Makes the cancel function sleep until [`Self::joinable`].
    pub(crate) fn join_when_told(&self) {
        let join = Join { done: loom::sync::Mutex::new(false), ended: loom::sync::Condvar::new() };
        assert!(self.joins.set(join).is_ok(), "once");
    }

    /// The thread that the cancel function joins has ended.
    pub(crate) fn joinable(&self) {
        let join = self.joins.get().expect("set before the thread began");
        *join.done.lock().unwrap() = true;
        join.ended.notify_one();
    }

    fn touch(&self, parcel: &Parcel, count: impl FnOnce(&Fate) -> &AtomicUsize) {
        let fate = &self.fates[parcel.data];
        self.call(|| {
            assert!(!fate.gone.load(SeqCst), "touched after it was given back");
            count(fate).fetch_add(1, SeqCst);
        });
        assert!(!fate.gone.load(SeqCst), "given back while a call with it runs");
    }

    /// What the Lua thread does with a delivery: decodes it, and says how that ended.
    pub(crate) fn decode(&self, dispatcher: &Dispatcher, taken: &Taken, end: DecodeEnd) -> Decoded {
        self.touch(&taken.parcel, |fate| &fate.decoded);
        dispatcher.decoded(taken, end)
    }

    /// One `poll`; says whether something was there.
    pub(crate) fn poll(&self, dispatcher: &Dispatcher) -> bool {
        let Some(taken) = unsafe { dispatcher.take_one() }.unwrap() else { return false };
        self.decode(dispatcher, &taken, DecodeEnd::Over);
        true
    }

    /// An item that no thread waited for and that was accepted ended once; one that was refused was not touched.
    pub(crate) fn assert_ended(&self, data: usize, accepted: bool) {
        let fate = &self.fates[data];
        let ends = fate.decoded.load(SeqCst) + fate.cancelled.load(SeqCst);
        assert_eq!(ends, usize::from(accepted), "decoded or cancelled");
        assert_eq!(fate.finished.load(SeqCst), usize::from(accepted), "finished");
        assert_eq!(fate.cancelled_waiting.load(SeqCst), 0, "cancelled as one that waits");
    }
}

impl Adapter for Fake {
    fn revision(&self) -> &'static str {
        "fake"
    }

    unsafe fn decode(&self, _: *mut c_void, _: Handle, _: &Parcel, _: &mut Failure) -> c_int {
        unreachable!("the core does not decode")
    }

    unsafe fn reply(&self, _: *mut c_void, _: Handle, _: &Parcel, _: bool, _: &mut Failure) -> c_int {
        unreachable!("the core does not reply")
    }

    unsafe fn cancel_queued(&self, _: Handle, parcel: &Parcel) {
        self.touch(parcel, |fate| &fate.cancelled);
    }

    unsafe fn cancel_waiting(&self, _: Handle, parcel: &Parcel) {
        self.touch(parcel, |fate| &fate.cancelled_waiting);
    }

    unsafe fn finish(&self, parcel: &Parcel) {
        self.touch(parcel, |fate| &fate.finished);
    }

    /// Each parcel is for the same callback, whose number is 1.
    unsafe fn is_for(&self, parcel: &Parcel, callback: CallbackId) -> bool {
        assert!(!self.fates[parcel.data].gone.load(SeqCst), "looked at after it was given back");
        callback.to_raw() == 1
    }

    unsafe fn complete(&self, parcel: &Parcel, outcome: Outcome) {
        self.touch(parcel, |fate| {
            *fate.outcome.lock().unwrap() = Some(outcome);
            &fate.completed
        });
    }

    unsafe fn cancel_library(&self, _: Handle, _: usize) {
        self.call(|| {
            self.told.fetch_add(1, SeqCst);
            if let Some(join) = self.joins.get() {
                self.joining.fetch_add(1, SeqCst);
                let mut done = join.done.lock().unwrap();
                while !*done {
                    done = join.ended.wait(done).unwrap();
                }
                drop(done);
                self.joining.fetch_sub(1, SeqCst);
            }
        });
    }

    unsafe fn release_library(&self, _: usize) {
        self.call(|| {
            self.released.fetch_add(1, SeqCst);
        });
    }
}

/// A state with one library in it; the running thread is its Lua thread.
pub(crate) struct House {
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) fake: &'static Fake,
    pub(crate) handle: Handle,
    pub(crate) epoch: u64,
}

pub(crate) fn house() -> House {
    let dispatcher = Arc::new(Dispatcher::new(0));
    assert!(dispatcher.claim());
    let epoch = dispatcher.open();
    let fake: &'static Fake = Box::leak(Box::default());
    let handle = register(&dispatcher, fake, 1);
    House { dispatcher, fake, handle, epoch }
}

pub(crate) fn register(dispatcher: &Dispatcher, fake: &'static Fake, libid: usize) -> Handle {
    dispatcher
        .register(Registration { libid, name: None, adapter: fake, context: 0, terms: None })
        .expect("a state that is open, and not full")
}

/// A state with one library in it that may have so many items queued.
pub(crate) fn bounded_house(items: usize, policy: Policy) -> House {
    let dispatcher = Arc::new(Dispatcher::new(0));
    assert!(dispatcher.claim());
    let epoch = dispatcher.open();
    let fake: &'static Fake = Box::leak(Box::default());
    let limits = Limits { items, policy, ..Limits::default() };
    let terms = Some(Terms { version: "1.0.0".into(), file: None, limits, keeps_alive: true });
    let registration = Registration { libid: 1, name: None, adapter: fake, context: 0, terms };
    let handle = dispatcher.register(registration).expect("a state that is open, and not full");
    House { dispatcher, fake, handle, epoch }
}

/// The parcel of `data` that no thread waits for.
pub(crate) fn parcel(data: usize) -> Parcel {
    Parcel { decode: 1, reply: 0, finish: 1, data }
}

/// The parcel of `data` that a thread waits for.
pub(crate) fn waited(data: usize) -> Parcel {
    Parcel { decode: 1, reply: 1, finish: 0, data }
}

/// What is handed over with a bound.
pub(crate) fn item(data: usize) -> Consignment<'static> {
    Consignment { parcel: parcel(data), bytes: 1, key: &[], completes: false }
}

/// The same, whose library is told how it ended.
pub(crate) fn request(data: usize) -> Consignment<'static> {
    Consignment { parcel: waited(data), completes: true, ..item(data) }
}

/// Hands over, and waits where the policy says so.
pub(crate) fn deliver(
    dispatcher: &Dispatcher,
    handle: Handle,
    it: Consignment<'_>,
) -> Result<u64, BoundedError> {
    dispatcher.deliver_bounded(handle, it, true).map(|accepted| accepted.sequence)
}

/// A thread that runs `work` with the dispatcher.
pub(crate) fn beside<T: 'static>(
    house: &House,
    work: impl FnOnce(&Dispatcher) -> T + 'static,
) -> JoinHandle<T> {
    let dispatcher = house.dispatcher.clone();
    thread::spawn(move || work(&dispatcher))
}

/// A thread that unregisters the library, of which no code runs from then on.
pub(crate) fn leave(house: &House) -> JoinHandle<()> {
    let (fake, handle) = (house.fake, house.handle);
    beside(house, move |dispatcher| {
        dispatcher.unregister(handle).expect("nobody else unregisters it");
        assert_eq!(fake.inside.load(SeqCst), 0, "a call runs");
        fake.left.store(true, SeqCst);
    })
}

/// Checks `run`, of three threads, in every interleaving with up to four switches that no lock or sleep asked for.
pub(crate) fn three(run: impl Fn() + Send + Sync + 'static) {
    check(Some(4), run);
}

/// Checks `run`, of three threads that switch often of themselves, with up to two other switches.
pub(crate) fn three_sleepers(run: impl Fn() + Send + Sync + 'static) {
    check(Some(2), run);
}

/// Checks `run`, of two threads, in every interleaving.
pub(crate) fn two(run: impl Fn() + Send + Sync + 'static) {
    check(None, run);
}

fn check(preemptions: Option<usize>, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check(run);
}

/// The places of functions that nobody refers to any more.
pub(crate) fn released(dispatcher: &Dispatcher) -> Vec<u32> {
    std::iter::from_fn(|| dispatcher.next_released_callback()).collect()
}
