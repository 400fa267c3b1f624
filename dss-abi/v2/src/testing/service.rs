//! The service behind a test state, in place of DSS.

use std::collections::{HashMap, VecDeque};
use std::mem::{take, ManuallyDrop};
use std::os::raw::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RBox, RErr, RNone, ROk, RResult, RSlice, RSome, RStr, RString, RVec};

use crate::any::Value;
use crate::contract::{
    Accepted, AcceptedMany, Code, CompleteFn, RawAnswer, RawDelivery, RawLimits, RawRegistration, RawRequest,
    Registered, Service, ServiceObject, ENDED_ANSWERED, ENDED_CLOSED, ENDED_FAILED, POLICY_DROP_OLDEST,
    POLICY_LATEST, POLICY_WAIT,
};
use crate::error::{DeliverError, Error};
use crate::guard::guard;
use crate::limits::{Limits, Policy};
use crate::value::{RawCallback, RawValue, ReleaseFn};
use crate::values::Values;

/// The library's handle.
pub(super) const HANDLE: usize = 1;

/// The function of a test that answers requests.
pub(super) type Answer = Arc<dyn Fn(Vec<Value>) -> Result<Value, Error> + Send + Sync>;

/// A delivery that is queued.
pub(super) struct Open {
    pub(super) ticket: u64,
    pub(super) callback: u64,
    pub(super) values: Vec<RawValue>,
    pub(super) key: Vec<u8>,
    pub(super) is_request: bool,
}

/// A request without an answer.
pub(super) struct Waiting {
    callback: u64,
    complete: CompleteFn,
    /// The context of the library. It is a number, because any thread may complete the request.
    context: usize,
}

/// The state behind the lock.
pub(super) struct Inner {
    pub(super) queue: VecDeque<Open>,
    /// By ticket.
    pub(super) requests: HashMap<u64, Waiting>,
    pub(super) answers: HashMap<u64, Answer>,
    pub(super) refuse: Option<Code>,
    pub(super) holds: usize,
    pub(super) keeps_alive: Option<bool>,
    pub(super) limits: Option<Limits>,
    pub(super) is_registered: bool,
    tickets: u64,
    /// The service that was made for it. It is set from the beginning.
    service: Option<&'static ServiceObject>,
}

/// A state.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    /// Notified when something is queued.
    came: Condvar,
    lua_thread: Option<ThreadId>,
}

static CALLBACKS: AtomicU64 = AtomicU64::new(1);

unsafe extern "C" fn release(_: u64) {}

/// Another reference to a callback. They are not counted.
pub(super) fn callback(id: u64) -> RawCallback {
    // SAFETY: `release` does nothing, whoever calls it.
    unsafe { RawCallback::new(id, ReleaseFn(release)) }
}

/// A callback with a number that no other state of the process has.
pub(super) fn new_callback() -> RawCallback {
    callback(CALLBACKS.fetch_add(1, Ordering::Relaxed))
}

/// The code of a reason.
pub(super) fn code(reason: DeliverError) -> Code {
    match reason {
        DeliverError::Unregistered => Code::INVALID_HANDLE,
        DeliverError::Closing => Code::STOPPING,
        DeliverError::OutOfMemory => Code::OUT_OF_MEMORY,
        DeliverError::WouldDeadlock => Code::WOULD_DEADLOCK,
        DeliverError::Full => Code::FULL,
        DeliverError::TimedOut => Code::TIMED_OUT,
        DeliverError::InvalidCallback => Code::INVALID_CALLBACK,
        DeliverError::TooDeep => Code::TOO_DEEP,
        DeliverError::TooLarge => Code::TOO_LARGE,
        DeliverError::Value(error) => panic!("DSS never refuses for that reason: {}", error),
        DeliverError::Other(code) => Code(code),
    }
}

/// The service of a state.
pub(super) fn service(shared: &Arc<Shared>) -> &'static ServiceObject {
    let service = TestService { shared: Arc::clone(shared) };
    let service = &*Box::leak(Box::new(ServiceObject::from_ptr(RBox::new(service), TD_Opaque)));
    shared.lock().service = Some(service);
    service
}

impl Shared {
    pub(super) fn new(lua_thread: Option<ThreadId>) -> Self {
        let inner = Inner {
            queue: VecDeque::new(),
            requests: HashMap::new(),
            answers: HashMap::new(),
            refuse: None,
            holds: 0,
            keeps_alive: None,
            limits: None,
            is_registered: true,
            tickets: 0,
            service: None,
        };
        Shared { inner: Mutex::new(inner), came: Condvar::new(), lua_thread }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A thread that panicked while it held this left it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next queued delivery. It waits for one until `end`, or without limit if that is `None`.
    pub(super) fn next(&self, end: Option<Instant>) -> Option<Open> {
        let mut inner = self.lock();
        loop {
            // Looked at under the lock under which one is queued, which notifies after.
            if let Some(open) = inner.queue.pop_front() {
                return Some(open);
            }
            let left = end.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
            if left == Duration::ZERO {
                return None;
            }
            // What no clock reaches is waited for in parts.
            let left = left.min(Duration::from_secs(3600));
            inner = self.came.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn take(&self) -> Vec<Open> {
        take(&mut self.lock().queue).into()
    }

    /// Ends a request. Returns false if it is over. No lock is held while the library's code runs.
    pub(super) fn complete(&self, ticket: u64, ended: u32, values: RVec<RawValue>, message: &str) -> bool {
        let (waiting, queued) = {
            let mut inner = self.lock();
            let waiting = match inner.requests.remove(&ticket) {
                Some(waiting) => waiting,
                None => return false,
            };
            (waiting, inner.remove(|open| open.ticket == ticket))
        };
        drop(queued);
        let message = RString::from(message);
        let answer = RawAnswer { ended, values, message, traceback: RString::new() };
        // SAFETY: the library's own context, which is completed once: it was taken out just now.
        unsafe { (waiting.complete.0)(waiting.context as *mut c_void, answer) };
        true
    }

    /// Ends the registration, and everything that is queued or waiting. Returns false if it has ended already.
    pub(super) fn leave(&self) -> bool {
        let (queued, requests) = {
            let mut inner = self.lock();
            if !std::mem::replace(&mut inner.is_registered, false) {
                return false;
            }
            inner.holds = 0;
            let requests: Vec<u64> = inner.requests.keys().copied().collect();
            (take(&mut inner.queue), requests)
        };
        for ticket in requests {
            self.complete(ticket, ENDED_CLOSED, RVec::new(), "");
        }
        drop(queued);
        true
    }
}

impl Inner {
    /// Removes from the queue what `is_meant`.
    fn remove(&mut self, is_meant: impl Fn(&Open) -> bool) -> Vec<Open> {
        let (meant, others): (Vec<_>, Vec<_>) = take(&mut self.queue).into_iter().partition(is_meant);
        self.queue = others.into();
        meant
    }

    /// Queues a delivery, or says why not.
    fn accept(&mut self, delivery: &RawDelivery<'_>, waiting: Option<Waiting>) -> Result<u64, Code> {
        self.allows()?;
        if delivery.callback == 0 {
            return Err(Code::INVALID_CALLBACK);
        }
        if let Some(code) = self.refuse {
            return Err(code);
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let open = Open {
            ticket,
            callback: delivery.callback,
            values: values_of(delivery),
            key: if waiting.is_some() { Vec::new() } else { delivery.key.to_vec() },
            is_request: waiting.is_some(),
        };
        self.queue.push_back(open);
        self.requests.extend(waiting.map(|waiting| (ticket, waiting)));
        Ok(ticket)
    }

    /// Whether the library is registered.
    fn allows(&self) -> Result<(), Code> {
        if self.is_registered {
            Ok(())
        } else {
            Err(Code::INVALID_HANDLE)
        }
    }
}

/// Takes the values of a delivery.
fn values_of(delivery: &RawDelivery<'_>) -> Vec<RawValue> {
    let value = |at| {
        // SAFETY: there are `count` values.
        let place = unsafe { delivery.values.add(at) };
        // SAFETY: the library forgets them, once they are taken.
        ManuallyDrop::into_inner(unsafe { place.read() })
    };
    (0..delivery.count).map(value).collect()
}

struct TestService {
    shared: Arc<Shared>,
}

impl TestService {
    fn accept(&self, delivery: &RawDelivery<'_>, waiting: Option<Waiting>) -> Result<Accepted, Code> {
        let ticket = self.shared.lock().accept(delivery, waiting)?;
        self.shared.came.notify_all();
        Ok(Accepted { ticket, announced: true })
    }

    /// Answers a request to a function that answers by itself.
    fn answer(&self, ticket: u64, queued: Option<Open>, answer: &Answer) {
        let service = self.shared.lock().service;
        let service = match service {
            Some(service) => service,
            None => return,
        };
        let values = queued.map_or_else(Vec::new, |open| open.values);
        let values = values.into_iter().map(|value| Value::from_raw(value, service).unwrap_or(Value::Nil));
        // A panic of the test's ends here: between the two images none may pass.
        let answered = guard(|| answer(values.collect())).unwrap_or_else(|panic| Err(Error::new(panic)));
        let mut held = Values::new(service);
        let answered = answered.and_then(|value| {
            held.push(value);
            Ok(held.into_results()?)
        });
        let _ = match answered {
            Ok(values) => self.shared.complete(ticket, ENDED_ANSWERED, values, ""),
            Err(error) => self.shared.complete(ticket, ENDED_FAILED, RVec::new(), error.as_str()),
        };
    }
}

impl Service for TestService {
    fn register(&self, _: usize, _: RawRegistration) -> RResult<Registered, Code> {
        // A test state has its library.
        RErr(Code::INVALID_STATE)
    }

    fn unregister(&self, _: usize) -> RResult<(), Code> {
        if self.shared.leave() {
            ROk(())
        } else {
            RErr(Code::INVALID_HANDLE)
        }
    }

    fn deliver(&self, _: usize, delivery: RawDelivery<'_>) -> RResult<Accepted, Code> {
        self.accept(&delivery, None).into()
    }

    fn deliver_many(&self, _: usize, deliveries: RSlice<'_, RawDelivery<'_>>) -> AcceptedMany {
        let mut many = AcceptedMany { taken: 0, first: 0, announced: true, refused: RNone };
        for delivery in deliveries.iter() {
            match self.accept(delivery, None) {
                Ok(accepted) if many.taken == 0 => many.first = accepted.ticket,
                Ok(_) => {}
                Err(code) => {
                    many.refused = RSome(code);
                    break;
                }
            }
            many.taken += 1;
        }
        many
    }

    fn request(&self, _: usize, request: RawRequest<'_>) -> RResult<Accepted, Code> {
        let RawRequest { delivery, complete, context } = request;
        let waiting = Waiting { callback: delivery.callback, complete, context: context as usize };
        let mut inner = self.shared.lock();
        let ticket = match inner.accept(&delivery, Some(waiting)) {
            Ok(ticket) => ticket,
            Err(code) => return RErr(code),
        };
        // Under one lock with that: a thread of the test's that waits for the next call does not get this one.
        let answer = inner.answers.get(&delivery.callback).cloned();
        let queued =
            answer.and_then(|answer| Some((answer, inner.remove(|open| open.ticket == ticket).pop()?)));
        drop(inner);
        match queued {
            Some((answer, queued)) => self.answer(ticket, Some(queued), &answer),
            None => self.shared.came.notify_all(),
        }
        ROk(Accepted { ticket, announced: true })
    }

    fn end(&self, _: usize, ticket: u64, ended: u32, queued_only: bool) -> bool {
        let mut inner = self.shared.lock();
        let is_queued = inner.queue.iter().any(|open| open.ticket == ticket);
        if inner.requests.contains_key(&ticket) {
            drop(inner);
            return (is_queued || !queued_only) && self.shared.complete(ticket, ended, RVec::new(), "");
        }
        let removed = inner.remove(|open| open.ticket == ticket);
        drop(inner);
        !removed.is_empty()
    }

    fn end_all(&self, _: usize, callback: u64, ended: u32) -> usize {
        let mut inner = self.shared.lock();
        let requests = inner.requests.iter().filter(|(_, waiting)| waiting.callback == callback);
        let requests: Vec<u64> = requests.map(|(ticket, _)| *ticket).collect();
        let removed = inner.remove(|open| open.callback == callback && !open.is_request);
        drop(inner);
        let ended = requests.iter().filter(|ticket| self.shared.complete(**ticket, ended, RVec::new(), ""));
        ended.count() + removed.len()
    }

    fn limit(&self, _: usize, limits: RawLimits) -> RResult<(), Code> {
        let policy = match limits.policy {
            POLICY_WAIT => Policy::Wait(Duration::from_nanos(limits.wait)),
            POLICY_DROP_OLDEST => Policy::DropOldest,
            POLICY_LATEST => Policy::Latest,
            _ => Policy::Refuse,
        };
        let mut inner = self.shared.lock();
        if limits.items == 0 || limits.bytes == 0 {
            return RErr(Code::MALFORMED);
        }
        let allowed = inner.allows();
        if allowed.is_ok() {
            inner.limits = Some(Limits::new().items(limits.items).bytes(limits.bytes).policy(policy));
        }
        allowed.into()
    }

    fn keep_alive(&self, _: usize, keeps: bool) -> RResult<(), Code> {
        let mut inner = self.shared.lock();
        let allowed = inner.allows();
        if allowed.is_ok() {
            inner.keeps_alive = Some(keeps);
        }
        allowed.into()
    }

    fn hold(&self, _: usize) -> RResult<(), Code> {
        let mut inner = self.shared.lock();
        let allowed = inner.allows();
        inner.holds += usize::from(allowed.is_ok());
        allowed.into()
    }

    fn let_go(&self, _: usize) {
        let mut inner = self.shared.lock();
        inner.holds = inner.holds.saturating_sub(1);
    }

    fn retain(&self, id: u64) -> RResult<RawCallback, Code> {
        ROk(callback(id))
    }

    fn extension(&self, _: RStr<'_>) -> *const c_void {
        std::ptr::null()
    }

    fn on_lua_thread(&self, _: usize) -> bool {
        self.shared.lua_thread == Some(thread::current().id())
    }
}
