//! The functions that choose how the program is notified of items: `setport`, `getport`, `listen`, `notify`, `getfd`.

use std::ffi::c_int;
use std::io::{self, ErrorKind};

use dss_impl::memory::try_box;
use dss_impl::notifier::{DescriptorNotifier, HelloNotifier, NoDescriptor, Notifier, UdpNotifier};
use dss_impl::value::Value;
use mlua::ffi;

use crate::entry::{answer, no_memory, plain};
use crate::errors::NO_MEMORY;
use crate::guard::Guard;
use crate::protected::{FIRST, Failed};
use crate::raw::Stack;

/// `getport()`
pub(crate) unsafe extern "C-unwind" fn get_port(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, guard| stack.push_integer(guard.port.get().into()))
}

/// `getfd()`
pub(crate) unsafe extern "C-unwind" fn get_fd(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| {
        let dispatcher = guard.state().dispatcher;
        // SAFETY: Lua called this function, here and below.
        let number = match unsafe { dispatcher.within_lua(|| dispatcher.descriptor()) } {
            Some(number) => number,
            None => {
                let notifier = DescriptorNotifier::new().map_err(no_descriptor)?;
                let number = notifier.descriptor().unwrap_or_default();
                let notifier: Box<dyn Notifier> = try_box(notifier).map_err(no_memory)?;
                // SAFETY: as above.
                unsafe { dispatcher.within_lua(|| dispatcher.set_descriptor(Some(notifier))) }
                    .map_err(no_memory)?;
                number
            }
        };
        lua.stack.push_integer(number as usize);
        Ok(1)
    })
}

fn no_descriptor(error: NoDescriptor) -> Failed {
    match error {
        NoDescriptor::OutOfMemory => NO_MEMORY.into(),
        NoDescriptor::Refused(error) => {
            format!("no descriptor could be opened for notifications ({error}){}", advice(&error)).into()
        }
    }
}

/// `setport(port)`
pub(crate) unsafe extern "C-unwind" fn set_port(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| {
        let port = port(lua.stack)?;
        let notifier: Option<Box<dyn Notifier>> = match port {
            0 => None,
            port => {
                let notifier = UdpNotifier::new(port).map_err(|error| {
                    format!(
                        "no socket could be opened for notifications to port {port} ({error}){}; the port is unchanged",
                        advice(&error)
                    )
                })?;
                Some(try_box(notifier).map_err(no_memory)?)
            }
        };
        lua.stack.push_integer(1);
        change(guard, port, notifier)?;
        Ok(1)
    })
}

/// `listen()`
pub(crate) unsafe extern "C-unwind" fn listen(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| {
        let notifier = HelloNotifier::new().map_err(|error| {
            let advice = advice(&error);
            format!("no socket could be opened to wait for a hello ({error}){advice}; the port is unchanged")
        })?;
        let port = notifier.port();
        lua.stack.push_integer(port.into());
        lua.push_text(notifier.hello())?;
        let notifier: Box<dyn Notifier> = try_box(notifier).map_err(no_memory)?;
        change(guard, port, Some(notifier))?;
        Ok(2)
    })
}

/// `notify()`
pub(crate) unsafe extern "C-unwind" fn notify(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| {
        let dispatcher = guard.state().dispatcher;
        // SAFETY: Lua called this function.
        let is_sent = unsafe { dispatcher.within_lua(|| dispatcher.notify()) };
        lua.stack.push_boolean(is_sent);
        Ok(1)
    })
}

/// Changes the notifier that has a port.
fn change(guard: &Guard, port: u16, notifier: Option<Box<dyn Notifier>>) -> Result<(), Failed> {
    let dispatcher = guard.state().dispatcher;
    // SAFETY: the callers are functions that Lua called.
    unsafe { dispatcher.within_lua(|| dispatcher.set_notifier(notifier)) }.map_err(no_memory)?;
    guard.port.set(port);
    Ok(())
}

/// The port in the first argument: a number with an integral value, or its decimal text, which is what socket libraries return
/// as a port.
fn port(stack: Stack) -> Result<u16, String> {
    let found = match stack.type_at(FIRST) {
        ffi::LUA_TNUMBER => match stack.value_of_number(FIRST) {
            Value::Integer(port) => match u16::try_from(port) {
                Ok(port) => return Ok(port),
                Err(_) => port.to_string(),
            },
            Value::Float(port) if port.fract() == 0.0 && (0.0..=65535.0).contains(&port) => {
                return Ok(port as u16);
            }
            Value::Float(port) => port.to_string(),
            _ => "a number".to_owned(),
        },
        ffi::LUA_TSTRING => {
            let text = stack.bytes_at(FIRST).unwrap_or_default();
            match str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
                // Rust accepts a sign, too.
                Some(port) if text.iter().all(u8::is_ascii_digit) => return Ok(port),
                _ if text.len() > 20 => "a longer text".to_owned(),
                _ => format!("{:?}", String::from_utf8_lossy(text)),
            }
        }
        _ => stack.described(FIRST).into_owned(),
    };
    Err(format!(
        "bad argument #1 to 'setport': wanted a UDP port, an integer from 1 to 65535 or its decimal text, or 0 for no \
         notifications; found {found}"
    ))
}

/// What to do if no socket could be opened.
fn advice(error: &io::Error) -> &'static str {
    if is_limit(error) {
        return ": close some descriptors, or raise their limit";
    }
    match error.kind() {
        ErrorKind::PermissionDenied => {
            ": this process may not use UDP sockets: allow it to send to 127.0.0.1"
        }
        ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::NetworkDown => ": 127.0.0.1 cannot be reached: bring up the loopback interface",
        ErrorKind::OutOfMemory => ": the system is out of memory",
        _ => "",
    }
}

/// Whether the process, or the system, has reached its limit of descriptors.
#[cfg(unix)]
fn is_limit(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether the process has reached its limit of descriptors.
#[cfg(not(unix))]
fn is_limit(error: &io::Error) -> bool {
    // WSAEMFILE
    error.raw_os_error() == Some(10024)
}
