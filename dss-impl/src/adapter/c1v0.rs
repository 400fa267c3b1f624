//! The adapter of 1.0's C interface. 1.0's numbers exist only here.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;

use dss_abi_c1v0 as c;

use crate::declared::Status;
use crate::delivery::{Announced, DeliverError, Delivery};
use crate::dispatcher::RegisterError;
use crate::handle::Handle;
use crate::image;
use crate::library::Registration;
use crate::outcome::Failure;
use crate::payload::Payload;
use crate::port::{Adapter, Answers, ReplyPort, Stage};
use crate::revision::{Found, Revision};
use crate::states::{self, StateRef};

/// The revision. Its libraries look up 1.0's own key in the registry.
pub static REVISION: Revision = Revision {
    number: 0,
    name: "c1v0",
    version: "1.0.0",
    status: Status::Supported,
    found: Found::RegistryKey { key: c::DSS_API_1V0_KEY, api: &API },
};

/// The struct that 1.0's key points to.
pub static API: c::dss_api_1v0_t = c::dss_api_1v0_t {
    version: c"DSS API 1v0".as_ptr(),
    reg: Some(reg),
    getutilid: Some(getutilid),
    deliver: Some(deliver),
    unreg: Some(UNREG),
};

/// `unreg` calls the library's own functions, so an exception from one of them also leaves `unreg`.
const UNREG: unsafe extern "C" fn(*mut c_void) -> c_int = {
    // SAFETY: the two types differ only in unwinding.
    unsafe {
        std::mem::transmute::<
            unsafe extern "C-unwind" fn(*mut c_void) -> c_int,
            unsafe extern "C" fn(*mut c_void) -> c_int,
        >(unreg)
    }
};

// Where 1.0 has each field. This is not next to the type because the type's crate also builds with compilers that cannot check it.
const _: () = {
    const POINTER: usize = size_of::<*const c_void>();
    assert!(offset_of!(c::dss_api_1v0_t, version) == 0);
    assert!(offset_of!(c::dss_api_1v0_t, reg) == POINTER);
    assert!(offset_of!(c::dss_api_1v0_t, getutilid) == 2 * POINTER);
    assert!(offset_of!(c::dss_api_1v0_t, deliver) == 3 * POINTER);
    assert!(offset_of!(c::dss_api_1v0_t, unreg) == 4 * POINTER);
};

// The library's functions, as they must be called: a Lua error may leave them, and LuaJIT's errors are exceptions.
type Decode = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;
type Return = unsafe extern "C-unwind" fn(*mut c_void, *mut c_void, *mut c_void, c_int) -> c_int;
type Cancel = unsafe extern "C-unwind" fn(*mut c_void);

struct C1v0;

static ADAPTER: C1v0 = C1v0;

fn utilid(handle: Handle) -> *mut c_void {
    handle.to_raw() as *mut c_void
}

/// Writes `code` to `err`, unless that is NULL.
///
/// # Safety
/// `err` is NULL or writable.
unsafe fn say(err: *mut c_int, code: c_int) {
    if !err.is_null() {
        // SAFETY: as the caller promises.
        unsafe { err.write(code) };
    }
}

/// The state of `lua`, or 1.0's error code if there is none.
///
/// # Safety
/// `lua` is NULL or a live state that runs on this thread.
unsafe fn state(lua: *mut c::lua_State) -> Result<StateRef, c_int> {
    // SAFETY: as the caller promises.
    let state = unsafe { states::find(lua.cast()) }.ok_or(c::DSS_ERR_NO_GLOBALS)?;
    state.get().map(|_| state).ok_or(c::DSS_ERR_NOT_STARTED)
}

unsafe extern "C" fn reg(
    lua: *mut c::lua_State,
    libid: *mut c_void,
    cancel: c::DSS_cancel_1v0_t,
    err: *mut c_int,
) -> *mut c_void {
    let Some(cancel) = cancel else {
        // SAFETY: 1.0's contract.
        unsafe { say(err, c::DSS_ERR_NO_CANCEL_PROVIDED) };
        return std::ptr::null_mut();
    };
    // SAFETY: 1.0's contract: called on the Lua thread with its state.
    let (handle, code) = match unsafe { state(lua) } {
        Ok(state) => register(state, libid as usize, cancel as usize),
        Err(code) => (None, code),
    };
    // SAFETY: 1.0's contract.
    unsafe { say(err, code) };
    handle.map_or(std::ptr::null_mut(), utilid)
}

fn register(state: StateRef, libid: usize, cancel: usize) -> (Option<Handle>, c_int) {
    image::pin(cancel);
    let registration = Registration { libid, name: None, adapter: &ADAPTER, context: cancel, terms: None };
    // SAFETY: 1.0's contract: `reg` is called by a function that Lua called, with its state.
    match unsafe { state.dispatcher.within_lua(|| state.dispatcher.register(registration)) } {
        Ok(handle) => (Some(handle), c::DSS_SUCCESS),
        Err(RegisterError::AlreadyRegistered(handle)) => (Some(handle), c::DSS_ERR_ALREADY_REGISTERED),
        Err(RegisterError::Stopping) => (None, c::DSS_ERR_NOT_STARTED),
        Err(RegisterError::Full | RegisterError::OutOfMemory) => (None, c::DSS_ERR_OUT_OF_MEMORY),
    }
}

unsafe extern "C" fn getutilid(lua: *mut c::lua_State, libid: *mut c_void, err: *mut c_int) -> *mut c_void {
    // SAFETY: 1.0's contract: called on the Lua thread with its state.
    let state = unsafe { state(lua) };
    let find = |state: StateRef| {
        let dispatcher = state.dispatcher;
        // SAFETY: likewise, by a function that Lua called.
        let found = unsafe { dispatcher.within_lua(|| dispatcher.find(libid as usize)) };
        found.ok_or(c::DSS_ERR_UNKNOWN_LIB)
    };
    let found = state.and_then(find);
    // SAFETY: 1.0's contract.
    unsafe { say(err, found.err().unwrap_or(c::DSS_SUCCESS)) };
    found.map_or(std::ptr::null_mut(), utilid)
}

unsafe extern "C" fn deliver(
    utilid: *mut c_void,
    decode: c::DSS_decoder_1v0_t,
    ret: c::DSS_return_1v0_t,
    data: *mut c_void,
) -> c_int {
    let handle = Handle::from_raw(utilid as usize);
    let Some(dispatcher) = states::dispatcher_of(handle) else { return c::DSS_ERR_INVALID_UTILID };
    let Some(decode) = decode else { return c::DSS_ERR_NO_DECODE_PROVIDED };
    let payload = Payload([decode as usize, ret.map_or(0, |ret| ret as usize), data as usize]);
    let delivery = Delivery::new(REVISION.number, payload);
    let announced = match ret {
        None => dispatcher.deliver(handle, delivery).map(|accepted| accepted.announced),
        // 1.0 cannot express how a delivery ended. Its calls of decode and return have told the library.
        Some(_) => dispatcher.deliver_and_wait(handle, delivery).map(|(_, announced)| announced),
    };
    match announced {
        Ok(Announced::Yes) => c::DSS_SUCCESS,
        Ok(Announced::Failed) => c::DSS_ERR_UDP_SEND_FAILED,
        Err(DeliverError::InvalidHandle) => c::DSS_ERR_INVALID_UTILID,
        Err(DeliverError::Stopping) => c::DSS_ERR_NOT_STARTED,
        Err(DeliverError::OutOfMemory) => c::DSS_ERR_OUT_OF_MEMORY,
        // 1.0 has no limits, and no codes for these.
        Err(
            DeliverError::Full
            | DeliverError::TooLarge
            | DeliverError::TimedOut
            | DeliverError::InvalidChannel,
        ) => c::DSS_ERR_OUT_OF_MEMORY,
        Err(DeliverError::WouldDeadlock) => c::DSS_ERR_WOULD_DEADLOCK,
    }
}

unsafe extern "C-unwind" fn unreg(utilid: *mut c_void) -> c_int {
    let handle = Handle::from_raw(utilid as usize);
    match states::dispatcher_of(handle).map(|dispatcher| dispatcher.unregister(handle)) {
        Some(Ok(())) => c::DSS_SUCCESS,
        _ => c::DSS_ERR_INVALID_UTILID,
    }
}

/// A payload is the decode function, the return function or 0, and the library's data.
impl C1v0 {
    fn decode_of(payload: &Payload) -> Decode {
        // SAFETY: `deliver` put the library's decode function there, and the two types differ only in unwinding.
        unsafe { std::mem::transmute::<usize, Decode>(payload.0[0]) }
    }

    fn return_of(payload: &Payload) -> Return {
        // SAFETY: only called for deliveries that a thread waits for. There, `deliver` put the library's return function.
        unsafe { std::mem::transmute::<usize, Return>(payload.0[1]) }
    }

    fn data_of(payload: &Payload) -> *mut c_void {
        payload.0[2] as *mut c_void
    }
}

impl Adapter for C1v0 {
    fn revision(&self) -> &'static str {
        REVISION.name
    }

    fn number(&self) -> u32 {
        REVISION.number
    }

    fn may_throw(&self) -> bool {
        true
    }

    fn finishes(&self) -> bool {
        false
    }

    fn answers(&self) -> Answers<'_> {
        Answers::Function(self)
    }

    #[inline]
    unsafe fn decode(&self, lua: *mut c_void, handle: Handle, payload: &Payload, _: &mut Failure) -> c_int {
        // SAFETY: 1.0's contract, with the library's own values.
        let count = unsafe { Self::decode_of(payload)(lua, Self::data_of(payload), utilid(handle)) };
        count.max(0)
    }

    unsafe fn discard(&self, handle: Handle, payload: &Payload, stage: Stage) {
        let (lua, data) = (std::ptr::null_mut(), Self::data_of(payload));
        match stage {
            // SAFETY: 1.0's contract: a NULL state says that the delivery is cancelled.
            Stage::Queued => unsafe {
                Self::decode_of(payload)(lua, data, utilid(handle));
            },
            // SAFETY: likewise.
            Stage::Waiting => unsafe {
                Self::return_of(payload)(lua, data, utilid(handle), 0);
            },
            // 1.0 has no call for this.
            Stage::Finished | Stage::Discarded => {}
        }
    }

    unsafe fn closing(&self, handle: Handle, context: usize) {
        // SAFETY: `reg` put the library's cancel function there.
        let cancel = unsafe { std::mem::transmute::<usize, Cancel>(context) };
        // SAFETY: 1.0's contract.
        unsafe { cancel(utilid(handle)) };
    }

    unsafe fn release(&self, _: usize) {}
}

impl ReplyPort for C1v0 {
    unsafe fn reply(
        &self,
        lua: *mut c_void,
        handle: Handle,
        payload: &Payload,
        garbage: bool,
        _: &mut Failure,
    ) -> c_int {
        let data = Self::data_of(payload);
        // SAFETY: 1.0's contract, with the library's own values.
        let count = unsafe { Self::return_of(payload)(lua, data, utilid(handle), c_int::from(garbage)) };
        count.max(0)
    }
}
