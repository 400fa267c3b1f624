//! The codes that c2v0 libraries get, and a sentence for each.

use std::ffi::{CStr, c_int};

use dss_abi_c2v0::*;

use crate::adapter::values::service::Refused;
use crate::delivery::DeliverError;

/// The code of a refusal.
pub(super) fn code(refused: Refused) -> c_int {
    match refused {
        Refused::Deliver(DeliverError::InvalidHandle) => DSS_INVALID_LIBRARY,
        Refused::Deliver(DeliverError::InvalidChannel) => DSS_INVALID_CHANNEL,
        Refused::Deliver(DeliverError::Stopping) => DSS_STOPPING,
        Refused::Deliver(DeliverError::OutOfMemory) => DSS_OUT_OF_MEMORY,
        Refused::Deliver(DeliverError::WouldDeadlock) => DSS_WOULD_DEADLOCK,
        Refused::Deliver(DeliverError::Full) => DSS_FULL,
        Refused::Deliver(DeliverError::TimedOut) => DSS_TIMED_OUT,
        Refused::Deliver(DeliverError::TooLarge) => DSS_TOO_LARGE,
        Refused::InvalidCallback => DSS_INVALID_CALLBACK,
        Refused::TooDeep => DSS_TOO_DEEP,
        Refused::Malformed => DSS_MALFORMED,
        Refused::NotYours => DSS_NOT_YOURS,
    }
}

/// The sentence for a code.
pub(super) fn sentence(code: c_int) -> &'static CStr {
    match code {
        DSS_OK => c"done",
        DSS_INVALID_LIBRARY => {
            c"the library is not registered in a Lua state: it was unregistered, or the state has closed"
        }
        DSS_STOPPING => c"the Lua state is closing",
        DSS_OUT_OF_MEMORY => c"there is not enough memory",
        DSS_WOULD_DEADLOCK => c"the call would wait for the thread that it is made on",
        DSS_FULL => c"the channel's queue is full",
        DSS_TIMED_OUT => c"there was no room in the queue in time",
        DSS_INVALID_CALLBACK => c"the Lua function is gone, or belongs to another Lua state",
        DSS_TOO_DEEP => c"lists and maps are nested more than 64 deep",
        DSS_TOO_LARGE => c"the delivery is larger than the limit in bytes",
        DSS_MALFORMED => c"the library passed an invalid value, or a record of the wrong size",
        DSS_RAISED => c"the library raised an error without a message",
        DSS_INVALID_CALL => c"the call from Lua has ended, or belongs to another thread",
        DSS_TOO_LATE => c"the delivery has ended, or Lua has already taken it",
        DSS_INVALID_CHANNEL => c"the library has no such channel",
        DSS_NOT_YOURS => c"the object was given away before, or its class is not listed by the library",
        _ => c"the library returned a code that this DSS does not know",
    }
}

/// Why a request has no answer, if no Lua error says so.
pub(super) fn why(ended: u32) -> &'static CStr {
    match ended {
        DSS_COLLECTED => c"Lua deferred the answer with `defer()` and never gave it",
        DSS_CANCELLED => c"the library cancelled the request",
        DSS_CLOSED => c"the library was unregistered, or its Lua state closed",
        DSS_LATE => c"Lua did not answer before the deadline",
        DSS_DROPPED => c"the request was dropped to make room for a later one",
        DSS_NOT_STARTED => c"Lua did not start the request before its first deadline",
        _ => c"",
    }
}
