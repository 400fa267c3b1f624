//! Values on their way from Lua to a library: the arguments of its functions, and what a Lua function answered.
//!
//! They are read in one protected call, and everything that was read is in [`Reading`], in the frame below that call. If a table
//! changes under the reader (Lua may run finalizers while it keeps a function), that is an error, and nothing that was read by then
//! is lost. So the reader does not call itself: it has a list of the tables that are being read.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use dss_impl::callbacks::{MOST_CALLBACKS, NoCallback};
use dss_impl::dispatcher::Dispatcher;
use dss_impl::memory::TryRoom;
use dss_impl::value::{MAX_DEPTH, ObjectRef, Value};
use mlua::ffi;

use crate::callbacks;
use crate::errors;
use crate::kind::{self, Kind, Library};
use crate::raw::Stack;
use crate::values::{EXACT, HAS_INTEGERS};

/// The most values in one reading, including those in tables. A table that is in another one twice is read twice, so a few tables
/// could stand for more than any memory holds.
const MOST_VALUES: usize = 1 << 20;

/// The most bytes in all strings of one reading, for the same reason.
const MOST_BYTES: usize = 1 << 30;

/// Slots of Lua's stack for one table: itself, a key, its value, a copy of the key.
const SLOTS: c_int = 4;

/// LuaJIT's number of a type that Lua does not have.
const C_DATA: c_int = 10;

/// The state of one reading. It is in a frame below the protected call that reads.
pub(crate) struct Reading {
    dispatcher: &'static Dispatcher,
    /// The library whose objects may be read; none if no objects are allowed.
    library: Option<Arc<Library>>,
    /// Whether a function that is passed again is the same callback.
    identifies: bool,
    /// The values that were read completely.
    pub(crate) values: Vec<Value>,
    /// The value that was read last, until it is put in its place.
    done: Option<Value>,
    /// The tables that are being read, outermost first.
    open: Vec<Open>,
    count: usize,
    bytes: usize,
    problem: Option<Problem>,
}

struct Open {
    table: *const c_void,
    key: Option<Value>,
    entries: Vec<(Value, Value)>,
}

/// Why a value was not read. Plain data: a Lua error may skip it.
#[derive(Clone, Copy)]
enum Problem {
    Cycle,
    TooDeep,
    TooMany,
    TooLong,
    Memory,
    Callbacks,
    Kind(&'static str),
    /// An object where none is allowed, or another library's. This is its kind, which its metatable keeps.
    Object(*const Kind),
    /// An object that was collected.
    Gone,
}

impl Stack {
    /// The number at `index`.
    pub(crate) fn value_of_number(self, index: c_int) -> Value {
        if HAS_INTEGERS {
            // SAFETY: see `new`.
            if unsafe { ffi::lua_isinteger(self.0, index) } != 0 {
                // SAFETY: see `new`.
                let integer = unsafe { ffi::lua_tointeger(self.0, index) };
                #[allow(clippy::useless_conversion, reason = "the type is another in each Lua")]
                return Value::Integer(integer.into());
            }
            return Value::Float(self.number_at(index));
        }
        let number = self.number_at(index);
        let negative_zero = number == 0.0 && number.is_sign_negative();
        if number.fract() == 0.0 && number.abs() <= EXACT as f64 && !negative_zero {
            Value::Integer(number as i64)
        } else {
            Value::Float(number)
        }
    }

    fn address_at(self, index: c_int) -> *const c_void {
        // SAFETY: see `new`.
        unsafe { ffi::lua_topointer(self.0, index) }
    }
}

impl Reading {
    /// A reading of the arguments of a library's function.
    pub(crate) fn of_arguments(dispatcher: &'static Dispatcher, library: Arc<Library>) -> Self {
        let identifies = library.module.identifies_callbacks();
        Self::new(dispatcher, Some(library), identifies)
    }

    /// A reading of an answer. It allows no objects, because they are valid only during a call.
    pub(crate) fn of_answer(dispatcher: &'static Dispatcher, identifies: bool) -> Self {
        Self::new(dispatcher, None, identifies)
    }

    fn new(dispatcher: &'static Dispatcher, library: Option<Arc<Library>>, identifies: bool) -> Self {
        Reading {
            dispatcher,
            library,
            identifies,
            values: Vec::new(),
            done: None,
            open: Vec::new(),
            count: 0,
            bytes: 0,
            problem: None,
        }
    }

    /// Reads the `count` values on top, which it pops. [`protected`] is below them. Raises nothing.
    ///
    /// # Errors
    /// The number of the value that cannot be read, and why.
    pub(crate) fn read(&mut self, stack: Stack, count: c_int) -> Result<(), (usize, String)> {
        stack.push_pointer(std::ptr::from_mut(self));
        stack.insert(-count - 1);
        let read = stack.protected_call(count + 1, 0, 0);
        let at = self.values.len() + 1;
        if !read {
            let text = errors::text_of(stack.bytes_at(-1).unwrap_or_default());
            stack.pop(1);
            return Err((at, text));
        }
        match self.problem {
            None => Ok(()),
            Some(problem) => Err((at, self.sentence(problem))),
        }
    }

    fn sentence(&self, problem: Problem) -> String {
        let place = if self.open.is_empty() { "" } else { " in a table" };
        match problem {
            Problem::Cycle => "a table contains itself".to_owned(),
            Problem::TooDeep => format!("tables are nested more than {MAX_DEPTH} deep"),
            Problem::TooMany => {
                format!("there are more than {MOST_VALUES} values, including those in tables")
            }
            Problem::TooLong => format!("its strings have more than {MOST_BYTES} bytes"),
            Problem::Memory => "there is not enough memory for it".to_owned(),
            Problem::Callbacks => format!("too many Lua callbacks are in use (limit {MOST_CALLBACKS})"),
            Problem::Kind(found) => format!("found {found}{place}, which cannot be passed to a library"),
            Problem::Gone => format!("found a collected object{place}"),
            Problem::Object(kind) => {
                // SAFETY: the object holds it, and is in an argument.
                let kind = unsafe { &*kind };
                match &self.library {
                    Some(library) => format!(
                        "found {}{place}, but only objects of {} can be passed to it",
                        kind.described(),
                        library.described()
                    ),
                    None => format!(
                        "found {}{place}, but an object can be passed only to functions of its library",
                        kind.described()
                    ),
                }
            }
        }
    }

    /// Reads the value on top, which it pops. *Raises* if out of memory.
    fn read_top(&mut self, stack: Stack) -> Result<(), Problem> {
        self.begin(stack)?;
        loop {
            if self.done.is_some() {
                stack.pop(1);
                let Some(open) = self.open.last_mut() else {
                    self.values.extend(self.done.take());
                    return Ok(());
                };
                match (open.key.take(), self.done.take()) {
                    (Some(key), Some(value)) => open.entries.push((key, value)),
                    (_, key) => {
                        // That was the copy of the key. The value is below it.
                        open.key = key;
                        self.begin(stack)?;
                        continue;
                    }
                }
            }
            // On top are the innermost table and the key that was read last.
            if stack.next(-2) {
                stack.push_value(-2);
                self.begin(stack)?;
            } else {
                self.done = self.open.pop().map(Open::close);
            }
        }
    }

    /// Begins to read the value on top. It is done, or it is a table, which is then open and has its first key, nil, above it.
    fn begin(&mut self, stack: Stack) -> Result<(), Problem> {
        self.count += 1;
        if self.count > MOST_VALUES {
            return Err(Problem::TooMany);
        }
        let value = match stack.type_at(-1) {
            ffi::LUA_TNIL => Value::Nil,
            ffi::LUA_TBOOLEAN => Value::Boolean(stack.boolean_at(-1)),
            ffi::LUA_TNUMBER => stack.value_of_number(-1),
            ffi::LUA_TSTRING => Value::Bytes(self.string(stack.bytes_at(-1).unwrap_or_default())?),
            ffi::LUA_TTABLE => return self.open(stack),
            ffi::LUA_TFUNCTION => return self.function(stack),
            ffi::LUA_TUSERDATA => Value::Object(self.object(stack)?),
            ffi::LUA_TTHREAD => return Err(Problem::Kind("a coroutine")),
            ffi::LUA_TLIGHTUSERDATA => return Err(Problem::Kind("a light userdata")),
            C_DATA => return Err(Problem::Kind("C data")),
            _ => return Err(Problem::Kind("a value of an unknown type")),
        };
        self.done = Some(value);
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
        self.bytes += bytes.len();
        if self.bytes > MOST_BYTES {
            return Err(Problem::TooLong);
        }
        let mut copy = Vec::new();
        // With room for a 0 at the end, which C needs.
        copy.try_room_exact(bytes.len() + 1).map_err(|_| Problem::Memory)?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }

    fn open(&mut self, stack: Stack) -> Result<(), Problem> {
        let table = stack.address_at(-1);
        if self.open.iter().any(|open| open.table == table) {
            return Err(Problem::Cycle);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        if !stack.reserve(SLOTS + 4) {
            return Err(Problem::Memory);
        }
        self.open.push(Open { table, key: None, entries: Vec::new() });
        stack.push_nil();
        Ok(())
    }

    fn function(&mut self, stack: Stack) -> Result<(), Problem> {
        callbacks::forget_released(stack, self.dispatcher);
        if self.identifies
            && let Some(reference) = callbacks::find(stack, self.dispatcher)
        {
            self.done = Some(Value::Callback(reference));
            return Ok(());
        }
        let reference = self.dispatcher.new_callback().map_err(|why| match why {
            NoCallback::TooMany => Problem::Callbacks,
            NoCallback::OutOfMemory => Problem::Memory,
        })?;
        let slot = reference.id().slot();
        let key = self.dispatcher.callback_key(slot);
        // If keeping it raises, the reference is released with everything else.
        self.done = Some(Value::Callback(reference));
        callbacks::keep(stack, key);
        if self.identifies {
            callbacks::note(stack, slot);
        }
        Ok(())
    }

    fn object(&self, stack: Stack) -> Result<ObjectRef, Problem> {
        if !self.open.is_empty() {
            // Nothing keeps it during the call once Lua code takes it out of its table.
            return Err(Problem::Kind("an object within a table"));
        }
        let object =
            kind::at(stack, -1).ok_or(Problem::Kind("a userdata that is not an object of a library"))?;
        // SAFETY: Lua holds it, and a kind outlives its objects.
        let Some(kind) = (unsafe { object.kind.as_ref() }) else { return Err(Problem::Gone) };
        if !self.library.as_ref().is_some_and(|library| Arc::ptr_eq(library, &kind.library)) {
            return Err(Problem::Object(object.kind));
        }
        Ok(ObjectRef { data: object.data, class: kind.class.key() })
    }
}

impl Open {
    /// The table as a value: a list if its keys are 1 to n.
    fn close(self) -> Value {
        let mut entries = self.entries;
        let length = entries.len() as i64;
        // A table has each key once, so n keys from 1 to n are all of them.
        let place = |key: &Value| match key {
            Value::Integer(place) if (1..=length).contains(place) => Some(*place),
            _ => None,
        };
        if !entries.iter().all(|(key, _)| place(key).is_some()) {
            return Value::Map(entries);
        }
        if !entries.is_sorted_by_key(|(key, _)| place(key)) {
            entries.sort_unstable_by_key(|(key, _)| place(key));
        }
        Value::List(entries.into_iter().map(|(_, value)| value).collect())
    }
}

/// The protected part of [`Reading::read`].
pub(crate) unsafe extern "C-unwind" fn protected(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua passed this state.
    let stack = unsafe { Stack::new(lua) };
    let reading: *mut Reading = stack.pointer_at(1);
    // SAFETY: `read` passes the address of a value in a frame below this one.
    let reading = unsafe { &mut *reading };
    for index in 2..=stack.top() {
        if !stack.reserve(SLOTS) {
            reading.problem = Some(Problem::Memory);
            return 0;
        }
        stack.push_value(index);
        if let Err(problem) = reading.read_top(stack) {
            reading.problem = Some(problem);
            return 0;
        }
    }
    0
}

// A Lua error skips the frames of the reader, so their own type must have no destructor.
const _: () = assert!(!std::mem::needs_drop::<Result<(), Problem>>());
