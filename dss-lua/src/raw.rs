//! Lua's C API as this module uses it: one method per function, on a borrowed stack.
//!
//! [`Stack::new`] has the only requirement: a live `lua_State` that runs on this thread, in a call that Lua made, with room for 20
//! more values (what Lua gives each C function). The methods use only indices that their callers have checked or pushed.
//! Methods marked *raises* may leave by a Lua error, so the frames of their callers must hold nothing that needs to be dropped.

use std::ffi::{CStr, c_int, c_void};

use mlua::ffi;

/// The registry field with the modules that were required.
pub(crate) const LOADED: &CStr = c"_LOADED";

/// A function that Lua can call.
pub(crate) type CFunction = ffi::lua_CFunction;

/// A borrowed Lua stack.
#[derive(Clone, Copy)]
pub(crate) struct Stack(pub(crate) *mut ffi::lua_State);

impl Stack {
    /// Borrows a state's stack.
    ///
    /// # Safety
    /// See the head of this file.
    #[inline]
    pub(crate) unsafe fn new(lua: *mut ffi::lua_State) -> Self {
        Stack(lua)
    }

    #[inline]
    pub(crate) fn pointer(self) -> *mut c_void {
        self.0.cast()
    }

    #[inline]
    pub(crate) fn top(self) -> c_int {
        // SAFETY: see `new`.
        unsafe { ffi::lua_gettop(self.0) }
    }

    #[inline]
    pub(crate) fn set_top(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_settop(self.0, index) };
    }

    #[inline]
    pub(crate) fn pop(self, count: c_int) {
        self.set_top(-count - 1);
    }

    #[inline]
    pub(crate) fn push_value(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushvalue(self.0, index) };
    }

    #[inline]
    pub(crate) fn insert(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_insert(self.0, index) };
    }

    /// Pops a value, which replaces the one at `index`.
    #[inline]
    pub(crate) fn replace(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_replace(self.0, index) };
    }

    pub(crate) fn remove(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_remove(self.0, index) };
    }

    #[inline]
    pub(crate) fn push_integer(self, value: usize) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushinteger(self.0, value as ffi::lua_Integer) };
    }

    /// Pushes a count, as a float if this Lua's integers cannot hold it.
    pub(crate) fn push_count(self, value: u64) {
        match ffi::lua_Integer::try_from(value) {
            // SAFETY: see `new`.
            Ok(value) => unsafe { ffi::lua_pushinteger(self.0, value) },
            Err(_) => self.push_number(value as f64),
        }
    }

    #[inline]
    pub(crate) fn push_minus_one(self) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushinteger(self.0, -1) };
    }

    #[inline]
    pub(crate) fn push_number(self, value: f64) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushnumber(self.0, value) };
    }

    #[inline]
    pub(crate) fn push_boolean(self, value: bool) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushboolean(self.0, c_int::from(value)) };
    }

    #[inline]
    pub(crate) fn push_nil(self) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushnil(self.0) };
    }

    #[inline]
    pub(crate) fn push_pointer<T>(self, pointer: *mut T) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushlightuserdata(self.0, pointer.cast()) };
    }

    #[inline]
    pub(crate) fn pointer_at<T>(self, index: c_int) -> *mut T {
        // SAFETY: see `new`.
        unsafe { ffi::lua_touserdata(self.0, index) }.cast()
    }

    /// *Raises* if out of memory.
    pub(crate) fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: see `new`; Lua copies the bytes.
        unsafe { ffi::lua_pushlstring(self.0, bytes.as_ptr().cast(), bytes.len()) };
    }

    /// The string at `index`, or none if there is no string or number. It is borrowed from Lua while the value stays there.
    /// A number is converted, which *raises* if out of memory.
    pub(crate) fn bytes_at<'a>(self, index: c_int) -> Option<&'a [u8]> {
        let mut length = 0;
        // SAFETY: see `new`.
        let bytes = unsafe { ffi::lua_tolstring(self.0, index, &mut length) };
        if bytes.is_null() {
            return None;
        }
        // SAFETY: Lua says that this many bytes are there.
        Some(unsafe { std::slice::from_raw_parts(bytes.cast(), length) })
    }

    /// The number at `index`.
    pub(crate) fn number_at(self, index: c_int) -> f64 {
        // SAFETY: see `new`.
        unsafe { ffi::lua_tonumber(self.0, index) }
    }

    /// The type at `index`, as a `LUA_T` number; below 0 if there is no value.
    pub(crate) fn type_at(self, index: c_int) -> c_int {
        // SAFETY: see `new`.
        unsafe { ffi::lua_type(self.0, index) }
    }

    /// The full userdata at `index`, whoever made it. A light userdata does not count.
    #[inline]
    pub(crate) fn userdata_at<T>(self, index: c_int) -> Option<*mut T> {
        (self.type_at(index) == ffi::LUA_TUSERDATA).then(|| self.pointer_at(index))
    }

    /// *Raises* if out of memory.
    #[inline]
    pub(crate) fn new_table(self, array: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_createtable(self.0, array, 0) };
    }

    /// *Raises* if the table must grow and there is no memory.
    #[inline]
    pub(crate) fn raw_set_at(self, table: c_int, at: c_int) {
        // SAFETY: see `new`; the caller made the table.
        unsafe { ffi::lua_rawseti(self.0, table, at.into()) };
    }

    /// Pops a key and a value, and sets that entry, without metamethods. *Raises* if out of memory, or if the key is nil or NaN.
    #[inline]
    pub(crate) fn raw_set(self, table: c_int) {
        // SAFETY: see `new`; the caller made the table.
        unsafe { ffi::lua_rawset(self.0, table) };
    }

    /// Pops a key and pushes its entry, without metamethods.
    pub(crate) fn raw_get(self, table: c_int) {
        // SAFETY: see `new`; the caller has seen a table there.
        unsafe { ffi::lua_rawget(self.0, table) };
    }

    /// Pushes `t[at]`, without metamethods.
    pub(crate) fn raw_get_at(self, table: c_int, at: c_int) {
        // SAFETY: see `new`; the caller has seen a table there.
        unsafe { ffi::lua_rawgeti(self.0, table, at.into()) };
    }

    /// Pops a key, and pushes the next key of the table at `index` and its value. After the last, returns false and pushes nothing.
    /// *Raises* if the key is not in the table.
    pub(crate) fn next(self, index: c_int) -> bool {
        // SAFETY: see `new`; the caller has seen a table there.
        unsafe { ffi::lua_next(self.0, index) != 0 }
    }

    /// The length of the table at `index`, without metamethods.
    pub(crate) fn raw_length(self, index: c_int) -> c_int {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawlen(self.0, index) as c_int }
    }

    /// Whether two values are the same, without metamethods.
    pub(crate) fn raw_equal(self, one: c_int, other: c_int) -> bool {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawequal(self.0, one, other) != 0 }
    }

    /// Pushes `t[key]`. The key is an address in this module.
    #[inline]
    pub(crate) fn raw_get_own(self, table: c_int, key: &'static u8) {
        // SAFETY: see `new`; the caller has seen a table there.
        unsafe { ffi::lua_rawgetp(self.0, table, std::ptr::from_ref(key).cast()) };
    }

    /// Pops a value and sets `t[key]` to it. *Raises* if the key is new and there is no memory.
    pub(crate) fn raw_set_own(self, table: c_int, key: &'static u8) {
        // SAFETY: see `new`; the caller made the table.
        unsafe { ffi::lua_rawsetp(self.0, table, std::ptr::from_ref(key).cast()) };
    }

    /// Pushes the metatable of the value at `index`. Returns false, and pushes nothing, if it has none.
    #[inline]
    pub(crate) fn push_metatable(self, index: c_int) -> bool {
        // SAFETY: see `new`.
        unsafe { ffi::lua_getmetatable(self.0, index) != 0 }
    }

    /// Pushes a new userdata that holds `value`, which has no destructor. *Raises* if out of memory.
    #[inline]
    pub(crate) fn new_userdata<T>(self, value: T) -> *mut T {
        const { assert!(align_of::<T>() <= 8, "Lua aligns its userdata to 8 bytes at least") };
        const { assert!(!std::mem::needs_drop::<T>(), "Lua would not drop it") };
        // SAFETY: see `new`.
        let memory: *mut T = unsafe { ffi::lua_newuserdata(self.0, size_of::<T>()) }.cast();
        // SAFETY: Lua gave that many bytes, aligned as asserted above.
        unsafe { memory.write(value) };
        memory
    }

    /// Pops a table and makes it the metatable of the value at `index`.
    #[inline]
    pub(crate) fn set_metatable(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_setmetatable(self.0, index) };
    }

    /// Pops a value and sets `t[name]` to it. *Raises* if out of memory.
    pub(crate) fn set_field(self, table: c_int, name: &CStr) {
        // SAFETY: see `new`; the caller made the table, without metamethods.
        unsafe { ffi::lua_setfield(self.0, table, name.as_ptr()) };
    }

    /// Names the metatable on top, and hides it: `getmetatable` returns false, and `setmetatable` fails. *Raises* if out of memory.
    pub(crate) fn seal_metatable(self, name: &[u8]) {
        self.push_bytes(name);
        self.set_field(-2, c"__name");
        self.push_boolean(false);
        self.set_field(-2, c"__metatable");
    }

    /// Pushes `registry[name]`. *Raises* if out of memory.
    pub(crate) fn push_registered(self, name: &CStr) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_getfield(self.0, ffi::LUA_REGISTRYINDEX, name.as_ptr()) };
    }

    /// Pushes `registry[key]`. The key is an address in this module.
    #[inline]
    pub(crate) fn push_own(self, key: &'static u8) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawgetp(self.0, ffi::LUA_REGISTRYINDEX, std::ptr::from_ref(key).cast()) };
    }

    /// Pops a value and sets `registry[key]` to it. *Raises* if out of memory.
    pub(crate) fn set_own(self, key: &'static u8) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_rawsetp(self.0, ffi::LUA_REGISTRYINDEX, std::ptr::from_ref(key).cast()) };
    }

    /// Pushes `registry[key]`. The key is an address in the core.
    #[inline]
    pub(crate) fn push_kept(self, key: *const c_void) {
        // SAFETY: see `new`; the address is not dereferenced.
        unsafe { ffi::lua_rawgetp(self.0, ffi::LUA_REGISTRYINDEX, key) };
    }

    /// Pops a value and sets `registry[key]` to it. *Raises* if the entry was nil and there is no memory.
    pub(crate) fn set_kept(self, key: *const c_void) {
        // SAFETY: as above.
        unsafe { ffi::lua_rawsetp(self.0, ffi::LUA_REGISTRYINDEX, key) };
    }

    /// Pops `count` upvalues and pushes a function with them. *Raises* if out of memory.
    pub(crate) fn push_function(self, function: CFunction, count: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pushcclosure(self.0, function, count) };
    }

    /// The index of an upvalue of the running function.
    #[inline]
    pub(crate) fn upvalue(index: c_int) -> c_int {
        ffi::lua_upvalueindex(index)
    }

    /// Makes a protected call. Returns whether it ended without an error; if not, the error is on top of the stack.
    #[inline]
    pub(crate) fn protected_call(self, arguments: c_int, results: c_int, handler: c_int) -> bool {
        self.protected_status(arguments, results, handler) == ffi::LUA_OK
    }

    /// Like [`Self::protected_call`], but returns Lua's status.
    #[inline]
    pub(crate) fn protected_status(self, arguments: c_int, results: c_int, handler: c_int) -> c_int {
        // SAFETY: see `new`.
        unsafe { ffi::lua_pcall(self.0, arguments, results, handler) }
    }

    /// Makes a protected call of a C function with an address, and allocates nothing outside that call. Returns whether it ended
    /// without an error; if not, the error is on top of the stack.
    #[cfg(any(feature = "lua51", feature = "luajit"))]
    pub(crate) fn protected_c_call<T>(self, function: CFunction, data: *mut T) -> bool {
        // SAFETY: see `new`.
        unsafe { ffi::lua_cpcall(self.0, function, data.cast()) == ffi::LUA_OK }
    }

    /// Calls a function. *Raises* what it raises.
    #[inline]
    pub(crate) fn call(self, arguments: c_int, results: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_call(self.0, arguments, results) };
    }

    /// Makes room for `count` more values. Returns false if there is none.
    #[inline]
    pub(crate) fn reserve(self, count: c_int) -> bool {
        // SAFETY: see `new`.
        unsafe { ffi::lua_checkstack(self.0, count) != 0 }
    }

    /// Pushes what `tostring` returns for the value at `index`. *Raises* what its metamethod raises.
    pub(crate) fn push_text_of(self, index: c_int) {
        // SAFETY: see `new`.
        unsafe { ffi::luaL_tolstring(self.0, index, std::ptr::null_mut()) };
    }

    /// Pushes a traceback, headed by the string at `message` if there is one. *Raises* if out of memory.
    pub(crate) fn push_traceback(self, message: Option<c_int>, level: c_int) {
        let text = message.map_or(std::ptr::null(), |index| {
            // SAFETY: see `new`.
            unsafe { ffi::lua_tolstring(self.0, index, std::ptr::null_mut()) }
        });
        // SAFETY: see `new`; the message stays where it is.
        unsafe { ffi::luaL_traceback(self.0, self.0, text, level) };
    }

    /// Compiles a chunk and pushes it. If it does not compile, returns false and pushes the message.
    pub(crate) fn load(self, chunk: &CStr) -> bool {
        // SAFETY: see `new`.
        unsafe { ffi::luaL_loadstring(self.0, chunk.as_ptr()) == ffi::LUA_OK }
    }

    /// *Raises* the value on top.
    pub(crate) fn raise_top(self) -> c_int {
        // SAFETY: see `new`; the callers' frames hold nothing that needs to be dropped.
        unsafe { ffi::lua_error(self.0) }
    }

    /// *Raises* the value on top. A string gets the position of the Lua code that called.
    pub(crate) fn raise_top_placed(self) -> c_int {
        if self.type_at(-1) != ffi::LUA_TSTRING {
            return self.raise_top();
        }
        // SAFETY: see `new`.
        unsafe { ffi::luaL_where(self.0, 1) };
        self.insert(-2);
        self.concat(2);
        self.raise_top()
    }

    /// Pops `count` strings and pushes them as one. *Raises* if out of memory.
    pub(crate) fn concat(self, count: c_int) {
        // SAFETY: see `new`; the caller has pushed that many strings.
        unsafe { ffi::lua_concat(self.0, count) };
    }

    /// *Raises* `sentence`, with the position of the Lua code that called.
    pub(crate) fn raise(self, sentence: &[u8]) -> c_int {
        self.push_bytes(sentence);
        self.raise_top_placed()
    }

    pub(crate) fn boolean_at(self, index: c_int) -> bool {
        // SAFETY: see `new`.
        unsafe { ffi::lua_toboolean(self.0, index) != 0 }
    }

    /// Runs a step of the collector. Returns whether its round is over. *Raises* what finalizers raise, in some Luas.
    pub(crate) fn collect_step(self) -> bool {
        // In the unit that each Lua expects.
        #[cfg(feature = "lua55")]
        const SIZE: usize = 64 << 10;
        #[cfg(not(feature = "lua55"))]
        const SIZE: c_int = 64;

        // SAFETY: see `new`.
        unsafe { ffi::lua_gc(self.0, ffi::LUA_GCSTEP, SIZE) != 0 }
    }

    /// Runs a whole round of the collector. *Raises* like [`Self::collect_step`].
    pub(crate) fn collect_all(self) {
        // SAFETY: see `new`.
        unsafe { ffi::lua_gc(self.0, ffi::LUA_GCCOLLECT, 0) };
    }

    /// Memory in use by Lua, in KiB.
    pub(crate) fn kilobytes(self) -> c_int {
        // SAFETY: see `new`.
        unsafe { ffi::lua_gc(self.0, ffi::LUA_GCCOUNT, 0) }
    }
}
