//! A library made up for the models, which counts what happens to it, and what every model begins with.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use dss_impl::capacity::{Limits, Policy};
use dss_impl::delivery::{Accepted, Announced, DeliverError, Delivery};
use dss_impl::dispatcher::{DecodeEnd, Decoded, Dispatcher, Taken};
use dss_impl::handle::Handle;
use dss_impl::library::{Registration, Terms};
use dss_impl::outcome::{Failure, Outcome};
use dss_impl::payload::Payload;
use dss_impl::port::{Adapter, Answers, ReplyPort, RequestPort, Stage};
use dss_impl::value::{Raised, Value};
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

/// A limit that a model, which has no clock, never reaches.
pub(crate) const FOREVER: Duration = Duration::MAX;

/// What happened to one payload. Its index is the payload's data. The counters are not modelled: the threads of a model
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

    fn touch(&self, payload: &Payload, count: impl FnOnce(&Fate) -> &AtomicUsize) {
        let fate = &self.fates[payload.0[0]];
        self.call(|| {
            assert!(!fate.gone.load(SeqCst), "touched after it was given back");
            count(fate).fetch_add(1, SeqCst);
        });
        assert!(!fate.gone.load(SeqCst), "given back while a call with it runs");
    }

    /// What the Lua thread does with a delivery: decodes it, and says how that ended.
    pub(crate) fn decode(&self, dispatcher: &Dispatcher, taken: &Taken, end: DecodeEnd) -> Decoded {
        self.touch(&taken.payload, |fate| &fate.decoded);
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

    fn number(&self) -> u32 {
        NUMBER
    }

    fn answers(&self) -> Answers<'_> {
        Answers::Function(self)
    }

    unsafe fn decode(&self, _: *mut c_void, _: Handle, _: &Payload, _: &mut Failure) -> c_int {
        unreachable!("the core does not decode")
    }

    unsafe fn discard(&self, _: Handle, payload: &Payload, stage: Stage) {
        self.touch(payload, |fate| match stage {
            Stage::Queued => &fate.cancelled,
            Stage::Waiting => &fate.cancelled_waiting,
            Stage::Finished | Stage::Discarded => &fate.finished,
        });
    }

    unsafe fn closing(&self, _: Handle, _: usize) {
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

    unsafe fn release(&self, _: usize) {
        self.call(|| {
            self.released.fetch_add(1, SeqCst);
        });
    }
}

impl ReplyPort for Fake {
    unsafe fn reply(&self, _: *mut c_void, _: Handle, _: &Payload, _: bool, _: &mut Failure) -> c_int {
        unreachable!("the core does not reply")
    }
}

impl RequestPort for Fake {
    unsafe fn answer(&self, _: &Payload, _: Result<Vec<Value>, Raised>) -> Result<(), String> {
        unreachable!("the core does not answer")
    }

    unsafe fn complete(&self, payload: &Payload, outcome: Outcome) {
        self.touch(payload, |fate| {
            *fate.outcome.lock().unwrap() = Some(outcome);
            &fate.completed
        });
    }
}

/// Handing over, as the models want to say it.
pub(crate) trait Deliver {
    /// Hands over what counts no bytes.
    fn deliver_plain(&self, handle: Handle, payload: Payload) -> Result<Announced, DeliverError>;
    /// Ends all, for each payload is for the same callback.
    fn end_all_of(&self, fake: &Fake, handle: Handle, outcome: Outcome) -> usize;
}

impl Deliver for Dispatcher {
    fn deliver_plain(&self, handle: Handle, payload: Payload) -> Result<Announced, DeliverError> {
        self.deliver(handle, Delivery::new(NUMBER, payload)).map(|accepted| accepted.announced)
    }

    fn end_all_of(&self, fake: &Fake, handle: Handle, outcome: Outcome) -> usize {
        self.end_all(handle, NUMBER, outcome, |payload| {
            assert!(!fake.fates[payload.0[0]].gone.load(SeqCst), "looked at after it was given back");
            true
        })
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

/// The number of the fake's revision.
pub(crate) const NUMBER: u32 = 7;

/// A delivery that counts no bytes.
pub(crate) fn plain(data: usize) -> Delivery<'static> {
    Delivery::new(NUMBER, payload(data))
}

/// The payload of `data`.
pub(crate) fn payload(data: usize) -> Payload {
    Payload([data, 0, 0])
}

/// What is handed over by a library with limits.
pub(crate) fn item(data: usize) -> Delivery<'static> {
    Delivery { bytes: 1, ..plain(data) }
}

/// Hands over a request.
pub(crate) fn request(
    dispatcher: &Dispatcher,
    fake: &'static Fake,
    handle: Handle,
    data: usize,
) -> Result<Accepted, DeliverError> {
    dispatcher.request(handle, item(data), fake)
}

/// Hands over, and waits if the policy says so.
pub(crate) fn deliver(
    dispatcher: &Dispatcher,
    handle: Handle,
    it: Delivery<'_>,
) -> Result<u64, DeliverError> {
    dispatcher.deliver(handle, it).map(|accepted| accepted.sequence)
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

/// Checks `run`, of three threads, in every interleaving with up to four switches that no lock or sleep asked for. Up to two in the deep
/// models: with four, one of them runs for more than an hour.
pub(crate) fn three(run: impl Fn() + Send + Sync + 'static) {
    check(Some(if cfg!(deep) { 2 } else { 4 }), run);
}

/// Checks `run`, of three threads that switch often of themselves, with up to two other switches.
pub(crate) fn three_sleepers(run: impl Fn() + Send + Sync + 'static) {
    check(Some(2), run);
}

/// Checks `run`, of two threads, in every interleaving.
pub(crate) fn two(run: impl Fn() + Send + Sync + 'static) {
    check(None, run);
}

/// Checks `run`, of two threads that meet at many locks: in every interleaving, or in the deep models with up to four switches that no
/// lock asked for. All interleavings of those had not ended after 20 minutes.
pub(crate) fn two_with_many_locks(run: impl Fn() + Send + Sync + 'static) {
    check(cfg!(deep).then_some(4), run);
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
