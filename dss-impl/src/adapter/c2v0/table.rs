//! The table of functions that c2v0 libraries get. Each function translates, and decides nothing.

use std::borrow::Cow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};

use dss_abi_c2v0::*;

use super::codes::{code, sentence};
use super::values::{Handed, Origin, limits, tell};
use super::{C2v0, Completion, Frame};
use crate::adapter::panics::abort_on_panic;
use crate::adapter::values::copied::{Copied, disown};
use crate::adapter::values::deadlines::{Deadline, Late, watch};
use crate::adapter::values::service::{self, Given, Refused, Source, own};
use crate::adapter::values::{calls, waiting};
use crate::callbacks::{CallbackId, Reference};
use crate::channel::ChannelId;
use crate::delivery::{Accepted, DeliverError};
use crate::dispatcher::Dispatcher;
use crate::handle::Handle;
use crate::memory::TryRoom;
use crate::outcome::Outcome;
use crate::states;

pub(super) static API: dss_api = dss_api {
    size: size_of::<dss_api>() as u32,
    reserved: 0,
    library,
    state,
    data,
    result,
    raise,
    bad_argument,
    retain,
    release,
    deliver,
    deliver_many,
    request,
    wait,
    cancel,
    cancel_all,
    hold,
    let_go,
    keep_alive,
    limit,
    open_channel,
    close_channel,
    unregister,
    on_lua_thread,
    strerror,
    extension,
};

/// A library's number, as the core has it. 0, which is no library's number, if it is too large.
fn raw(library: dss_library) -> usize {
    usize::try_from(library).unwrap_or(0)
}

fn done(result: Result<(), Refused>) -> c_int {
    result.map_or_else(code, |()| DSS_OK)
}

/// Calls `work` with the library, if it is of this revision.
fn with(
    library: dss_library,
    work: impl FnOnce(&'static Dispatcher, Handle) -> Result<(), Refused>,
) -> c_int {
    abort_on_panic(|| {
        done(own::<C2v0>(raw(library)).and_then(|(dispatcher, handle)| work(dispatcher, handle)))
    })
}

/// # Safety
/// `to` is NULL or writable.
unsafe fn say<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: as the caller promises.
        unsafe { to.write(value) };
    }
}

unsafe extern "C-unwind" fn library(call: dss_call) -> dss_library {
    calls::with(call, |frame: &Frame| frame.on.handle.to_raw() as u64).unwrap_or(0)
}

unsafe extern "C-unwind" fn state(call: dss_call) -> *mut c_void {
    calls::with(call, |frame: &Frame| frame.own().state()).flatten().unwrap_or(null_mut())
}

unsafe extern "C-unwind" fn data(call: dss_call) -> *mut c_void {
    calls::with(call, |frame: &Frame| frame.method.map(|method| method.data)).flatten().unwrap_or(null_mut())
}

/// Copies one value for the call and passes the copy to `keep`.
///
/// # Safety
/// `value` is NULL or a valid value.
unsafe fn take(
    call: dss_call,
    value: *const dss_value,
    keep: impl FnOnce(&Frame, Copied<dss_class>) -> Result<(), Refused>,
) -> c_int {
    abort_on_panic(|| {
        let taken = calls::with(call, |frame: &Frame| {
            let origin = Origin(frame.on.handle.to_raw(), Some(frame));
            // SAFETY: as the caller promises.
            let value = unsafe { value.as_ref() }.ok_or(Refused::Malformed)?;
            let mut copied = [const { Copied::Nil }];
            let values = Handed { values: std::slice::from_ref(value), of: origin };
            // SAFETY: there is room for one. It was nil, so nothing there has to be dropped.
            unsafe { values.write(copied.as_mut_ptr()) }?;
            let [copied] = copied;
            keep(frame, copied)
        });
        taken.map_or(DSS_INVALID_CALL, done)
    })
}

unsafe extern "C-unwind" fn result(call: dss_call, value: *const dss_value) -> c_int {
    let keep = |frame: &Frame, mut value| {
        let mut results = frame.results.borrow_mut();
        if results.try_room(1).is_err() {
            disown(std::slice::from_mut(&mut value));
            return Err(DeliverError::OutOfMemory.into());
        }
        results.push(value);
        Ok(())
    };
    // SAFETY: the contract of `result`.
    unsafe { take(call, value, keep) }
}

unsafe extern "C-unwind" fn raise(call: dss_call, error: *const dss_value) -> c_int {
    let keep = |frame: &Frame, error| {
        frame.raised.set(Some(error));
        Ok(())
    };
    // SAFETY: the contract of `raise`.
    match unsafe { take(call, error, keep) } {
        DSS_OK => DSS_RAISED,
        refused => refused,
    }
}

unsafe extern "C-unwind" fn bad_argument(call: dss_call, index: usize, wanted: *const c_char) -> c_int {
    let raised = calls::with(call, |frame: &Frame| {
        // SAFETY: the contract of `bad_argument`: NULL, or a text.
        let wanted = if wanted.is_null() { c"another value" } else { unsafe { CStr::from_ptr(wanted) } };
        let found = frame.arguments().get(index.wrapping_sub(1)).map_or("nothing".into(), found);
        let sentence = format!(
            "bad argument #{index} to '{}': wanted {}, found {found}",
            frame.name(),
            wanted.to_string_lossy()
        );
        frame.raised.set(Some(Copied::Bytes(sentence.into_bytes().into())));
        DSS_RAISED
    });
    raised.unwrap_or(DSS_INVALID_CALL)
}

/// What a value is, in the words of error messages.
fn found(value: &dss_value) -> Cow<'static, str> {
    let kind = match value.kind {
        DSS_NIL => "nil",
        DSS_BOOLEAN => "a boolean",
        DSS_INTEGER => "an integer",
        DSS_NUMBER => "a number",
        DSS_STRING => "a string",
        DSS_LIST | DSS_MAP => "a table",
        DSS_CALLBACK => "a function",
        // SAFETY: DSS laid the value out.
        _ => match unsafe { value.read() } {
            Some(Read::Object(object)) => {
                let cls: *const dss_class = object.cls;
                // SAFETY: it is one of the library's classes, which do not change.
                let class: Option<&'static dss_class> = unsafe { cls.as_ref() };
                return class
                    .map_or("an object".into(), |class| format!("an object '{}'", class.name()).into());
            }
            _ => "an object",
        },
    };
    kind.into()
}

unsafe extern "C-unwind" fn retain(callback: dss_callback) -> c_int {
    let retained = states::retain_callback(CallbackId::from_raw(callback)).map(Reference::into_raw);
    retained.map_or(DSS_INVALID_CALLBACK, |_| DSS_OK)
}

unsafe extern "C-unwind" fn release(callback: dss_callback) {
    states::release_callback(CallbackId::from_raw(callback));
}

/// Reads a delivery.
///
/// # Safety
/// `delivery` is NULL or a valid delivery, for the length of the call.
#[inline]
unsafe fn read<'a>(
    library: dss_library,
    delivery: *const dss_delivery,
) -> Result<Given<'a, Handed<'a>>, Refused> {
    // SAFETY: as the caller promises.
    let delivery = unsafe { slice(delivery, 1) }.and_then(<[_]>::first).ok_or(Refused::Malformed)?;
    if (delivery.size as usize) < size_of::<dss_delivery>() {
        return Err(Refused::Malformed);
    }
    let dss_delivery { callback, channel, values, count, key, key_size, .. } = *delivery;
    // SAFETY: as the caller promises.
    let key = unsafe { slice(key.cast(), key_size) }.ok_or(Refused::Malformed)?;
    // SAFETY: as the caller promises.
    let values = unsafe { slice(values, count) }.ok_or(Refused::Malformed)?;
    let values = Handed { values, of: Origin(raw(library), None) };
    Ok(Given { callback, values, channel: ChannelId::from_raw(channel), key })
}

/// The code and the ticket that the library gets for a delivery.
///
/// # Safety
/// `ticket` is NULL or writable.
#[inline]
unsafe fn accept(taken: Result<Accepted, Refused>, ticket: *mut dss_ticket) -> c_int {
    match taken {
        Ok(accepted) => {
            // SAFETY: as the caller promises.
            unsafe { say(ticket, accepted.sequence) };
            DSS_OK
        }
        Err(refused) => code(refused),
    }
}

unsafe extern "C-unwind" fn deliver(
    library: dss_library,
    delivery: *const dss_delivery,
    ticket: *mut dss_ticket,
) -> c_int {
    abort_on_panic(|| {
        // SAFETY: the contract of `deliver`.
        let given = unsafe { read(library, delivery) };
        let taken = given.and_then(|given| service::deliver::<C2v0, _>(raw(library), given));
        // SAFETY: as above.
        unsafe { accept(taken, ticket) }
    })
}

unsafe extern "C-unwind" fn deliver_many(
    library: dss_library,
    all: *const dss_delivery,
    count: usize,
    taken: *mut usize,
    first: *mut dss_ticket,
) -> c_int {
    abort_on_panic(|| {
        // SAFETY: the contract of `deliver_many`: an array of that length, whose items have the size that the first one states.
        let stride = unsafe { slice(all, 1) }.map_or(0, |first| first[0].size as usize);
        // SAFETY: as above.
        let each = |at: usize| unsafe { read(library, all.wrapping_byte_add(at * stride)) };
        let (accepted, refused) = match service::deliver_many::<C2v0, _>(raw(library), (0..count).map(each)) {
            Ok(batch) => {
                // SAFETY: as above.
                unsafe { say(first, batch.accepted.first) };
                (batch.accepted.taken, batch.refused)
            }
            Err(why) => (0, Some(why)),
        };
        // SAFETY: as above.
        unsafe { say(taken, accepted) };
        refused.map_or(DSS_OK, code)
    })
}

unsafe extern "C-unwind" fn request(
    library: dss_library,
    delivery: *const dss_delivery,
    start_ns: u64,
    finish_ns: u64,
    done: dss_done,
    context: *mut c_void,
    ticket: *mut dss_ticket,
) -> c_int {
    abort_on_panic(|| {
        if done.is_none() {
            return DSS_MALFORMED;
        }
        let deadline = Deadline::within(start_ns, finish_ns);
        let handle = Handle::from_raw(raw(library));
        let late = match deadline.next().map(|_| Late::try_new(handle)).transpose() {
            Ok(late) => late,
            Err(error) => return code(error.into()),
        };
        let completion = Completion::Done(done, context, late.clone());
        // SAFETY: the contract of `request`.
        let given = unsafe { read(library, delivery) };
        let taken = given.and_then(|given| service::request::<C2v0, _>(raw(library), given, completion));
        if let Some(late) = late {
            watch(&late, handle, taken.ok().map(|accepted| accepted.sequence), deadline);
        }
        // SAFETY: as above.
        unsafe { accept(taken, ticket) }
    })
}

unsafe extern "C-unwind" fn wait(
    library: dss_library,
    delivery: *const dss_delivery,
    start_ns: u64,
    finish_ns: u64,
    done: dss_done,
    context: *mut c_void,
) -> c_int {
    abort_on_panic(|| {
        let deadline = Deadline::within(start_ns, finish_ns);
        // SAFETY: the contract of `wait`.
        let given = unsafe { read(library, delivery) };
        let ended = given
            .and_then(|given| waiting::wait::<C2v0, _>(raw(library), given, deadline, Completion::Waits));
        match ended {
            Ok(end) => {
                tell(done, context, end);
                DSS_OK
            }
            Err(refused) => code(refused),
        }
    })
}

unsafe extern "C-unwind" fn cancel(library: dss_library, ticket: dss_ticket) -> c_int {
    let mut ended = false;
    let found = with(library, |dispatcher, handle| {
        ended = dispatcher.end(handle, ticket, Outcome::Withdrawn, false);
        Ok(())
    });
    if found == DSS_OK && !ended { DSS_TOO_LATE } else { found }
}

unsafe extern "C-unwind" fn cancel_all(library: dss_library, callback: dss_callback) -> usize {
    abort_on_panic(|| service::end_all::<C2v0>(raw(library), callback, Outcome::Withdrawn))
}

unsafe extern "C-unwind" fn hold(library: dss_library) -> c_int {
    with(library, |dispatcher, handle| Ok(dispatcher.hold(handle)?))
}

unsafe extern "C-unwind" fn let_go(library: dss_library) {
    with(library, |dispatcher, handle| {
        dispatcher.let_go(handle);
        Ok(())
    });
}

unsafe extern "C-unwind" fn keep_alive(library: dss_library, keeps: c_int) -> c_int {
    with(library, |dispatcher, handle| Ok(dispatcher.keep_alive(handle, keeps != 0)?))
}

unsafe extern "C-unwind" fn limit(
    library: dss_library,
    channel: dss_channel,
    wanted: *const dss_limits,
) -> c_int {
    with(library, |dispatcher, handle| {
        // SAFETY: the contract of `limit`.
        let limits = unsafe { limits(wanted) }.ok_or(Refused::Malformed)?;
        Ok(dispatcher.limit(handle, dss_abi_c2v0::REVISION, ChannelId::from_raw(channel), limits)?)
    })
}

unsafe extern "C-unwind" fn open_channel(
    library: dss_library,
    name: *const c_char,
    wanted: *const dss_limits,
    channel: *mut dss_channel,
) -> c_int {
    with(library, |dispatcher, handle| {
        if name.is_null() || channel.is_null() {
            return Err(Refused::Malformed);
        }
        // SAFETY: the contract of `open_channel`.
        let name = unsafe { CStr::from_ptr(name) }.to_str().ok().filter(|name| !name.is_empty());
        let name = name.ok_or(Refused::Malformed)?;
        // SAFETY: as above.
        let limits = unsafe { limits(wanted) }.ok_or(Refused::Malformed)?;
        let opened = dispatcher.open_channel(handle, dss_abi_c2v0::REVISION, name, limits)?;
        // SAFETY: as above.
        unsafe { say(channel, opened.to_raw()) };
        Ok(())
    })
}

unsafe extern "C-unwind" fn close_channel(library: dss_library, channel: dss_channel) -> c_int {
    with(library, |dispatcher, handle| Ok(dispatcher.close_channel(handle, ChannelId::from_raw(channel))?))
}

unsafe extern "C-unwind" fn unregister(library: dss_library) -> c_int {
    with(library, |dispatcher, handle| {
        dispatcher.unregister(handle).map_err(|_| DeliverError::InvalidHandle.into())
    })
}

unsafe extern "C-unwind" fn on_lua_thread(library: dss_library) -> c_int {
    c_int::from(own::<C2v0>(raw(library)).is_ok_and(|(dispatcher, _)| dispatcher.on_lua_thread()))
}

unsafe extern "C-unwind" fn strerror(code: c_int) -> *const c_char {
    sentence(code).as_ptr()
}

unsafe extern "C-unwind" fn extension(_: *const c_char) -> *const c_void {
    // This interface has no extensions.
    null()
}
