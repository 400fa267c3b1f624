//! Hand-written declarations of the parts of Lua's C API that the host uses. Only this file knows how the six Luas differ.
//!
//! A function here may raise a Lua error unless its comment says that it does not. An error is a `longjmp` (on
//! LuaJIT a foreign exception) that skips Rust's destructors, so no frame that calls such a function may own anything.

use std::ffi::{CStr, c_char, c_int, c_void};

/// A Lua state or one of its coroutines.
#[repr(C)]
pub(crate) struct State {
    _opaque: [u8; 0],
}

pub(crate) type Function = unsafe extern "C-unwind" fn(*mut State) -> c_int;
pub(crate) type Alloc =
    unsafe extern "C-unwind" fn(*mut c_void, block: *mut c_void, old: usize, new: usize) -> *mut c_void;
pub(crate) type Number = f64;
#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
pub(crate) type Integer = isize;
#[cfg(not(any(feature = "lua51", feature = "lua52", feature = "luajit")))]
pub(crate) type Integer = i64;

pub(crate) const OK: c_int = 0;
pub(crate) const MULTRET: c_int = -1;
pub(crate) const TNONE: c_int = -1;
pub(crate) const TNIL: c_int = 0;
pub(crate) const TBOOLEAN: c_int = 1;
pub(crate) const TNUMBER: c_int = 3;
pub(crate) const TSTRING: c_int = 4;

#[cfg(any(feature = "lua51", feature = "luajit"))]
pub(crate) const REGISTRYINDEX: c_int = -10000;
#[cfg(any(feature = "lua52", feature = "lua53", feature = "lua54"))]
pub(crate) const REGISTRYINDEX: c_int = -1_000_000 - 1000;
#[cfg(feature = "lua55")]
pub(crate) const REGISTRYINDEX: c_int = -(c_int::MAX / 2 + 1000);

// Functions that all six have under the same name. The host ignores results that older Luas do not have.
unsafe extern "C-unwind" {
    /// Never raises. Null if there is not enough memory.
    #[link_name = "luaL_newstate"]
    pub(crate) fn newstate() -> *mut State;
    /// Never raises.
    #[link_name = "lua_close"]
    pub(crate) fn close(l: *mut State);
    /// Never raises.
    #[link_name = "lua_getallocf"]
    pub(crate) fn getallocf(l: *mut State, data: *mut *mut c_void) -> Alloc;
    /// Never raises.
    #[link_name = "lua_setallocf"]
    pub(crate) fn setallocf(l: *mut State, function: Alloc, data: *mut c_void);
    /// Never raises.
    #[link_name = "lua_gettop"]
    pub(crate) fn gettop(l: *mut State) -> c_int;
    /// Never raises here, because the host's frames have no to-be-closed variables.
    #[link_name = "lua_settop"]
    pub(crate) fn settop(l: *mut State, index: c_int);
    /// Never raises.
    #[link_name = "lua_pushvalue"]
    pub(crate) fn pushvalue(l: *mut State, index: c_int);
    /// Never raises.
    #[link_name = "lua_type"]
    pub(crate) fn kind(l: *mut State, index: c_int) -> c_int;
    /// Never raises.
    #[link_name = "lua_typename"]
    pub(crate) fn typename(l: *mut State, kind: c_int) -> *const c_char;
    /// Never raises.
    #[link_name = "lua_toboolean"]
    pub(crate) fn toboolean(l: *mut State, index: c_int) -> c_int;
    /// Never raises if the value is a string already.
    #[link_name = "lua_tolstring"]
    pub(crate) fn tolstring(l: *mut State, index: c_int, len: *mut usize) -> *const c_char;
    /// Never raises.
    #[link_name = "lua_touserdata"]
    pub(crate) fn touserdata(l: *mut State, index: c_int) -> *mut c_void;
    /// Never raises.
    #[link_name = "lua_pushnil"]
    pub(crate) fn pushnil(l: *mut State);
    /// Never raises.
    #[link_name = "lua_pushnumber"]
    pub(crate) fn pushnumber(l: *mut State, value: Number);
    /// Never raises.
    #[link_name = "lua_pushinteger"]
    pub(crate) fn pushinteger(l: *mut State, value: Integer);
    /// Never raises.
    #[link_name = "lua_pushboolean"]
    pub(crate) fn pushboolean(l: *mut State, value: c_int);
    /// Never raises.
    #[cfg(not(any(feature = "lua51", feature = "luajit")))]
    #[link_name = "lua_pushlightuserdata"]
    pub(crate) fn pushlightuserdata(l: *mut State, value: *mut c_void);
    #[link_name = "lua_pushlstring"]
    pub(crate) fn pushlstring(l: *mut State, start: *const c_char, len: usize);
    #[link_name = "lua_pushcclosure"]
    fn pushcclosure(l: *mut State, function: Function, upvalues: c_int);
    #[link_name = "lua_createtable"]
    pub(crate) fn createtable(l: *mut State, array: c_int, hash: c_int);
    #[link_name = "lua_getfield"]
    pub(crate) fn getfield(l: *mut State, index: c_int, key: *const c_char);
    #[link_name = "lua_setfield"]
    pub(crate) fn setfield(l: *mut State, index: c_int, key: *const c_char);
    #[link_name = "lua_setmetatable"]
    pub(crate) fn setmetatable(l: *mut State, index: c_int) -> c_int;
    #[link_name = "lua_concat"]
    pub(crate) fn concat(l: *mut State, count: c_int);
    /// Never returns.
    #[link_name = "lua_error"]
    pub(crate) fn error(l: *mut State) -> c_int;

    #[link_name = "luaL_where"]
    pub(crate) fn position(l: *mut State, level: c_int);
    #[link_name = "luaL_checkstack"]
    pub(crate) fn checkstack(l: *mut State, slots: c_int, message: *const c_char);
    #[link_name = "luaL_newmetatable"]
    pub(crate) fn newmetatable(l: *mut State, name: *const c_char) -> c_int;
    #[link_name = "luaL_checkudata"]
    pub(crate) fn checkudata(l: *mut State, index: c_int, name: *const c_char) -> *mut c_void;
    #[link_name = "luaL_checklstring"]
    pub(crate) fn checklstring(l: *mut State, index: c_int, len: *mut usize) -> *const c_char;
    #[link_name = "luaL_checknumber"]
    pub(crate) fn checknumber(l: *mut State, index: c_int) -> Number;
    #[link_name = "luaL_optnumber"]
    pub(crate) fn optnumber(l: *mut State, index: c_int, absent: Number) -> Number;
    #[link_name = "luaL_checkinteger"]
    pub(crate) fn checkinteger(l: *mut State, index: c_int) -> Integer;
    #[link_name = "luaL_callmeta"]
    pub(crate) fn callmeta(l: *mut State, index: c_int, event: *const c_char) -> c_int;
}

/// Pushes a C function.
pub(crate) unsafe fn pushfunction(l: *mut State, function: Function) {
    // SAFETY: the caller guarantees a valid state with a free slot; no upvalue is taken.
    unsafe { pushcclosure(l, function, 0) }
}

/// Calls the function that was pushed before its arguments. Never raises: an error is left on the stack.
pub(crate) unsafe fn pcall(l: *mut State, args: c_int, results: c_int, handler: c_int) -> c_int {
    // SAFETY: the caller has pushed the function and its arguments; no continuation is given, so none can yield.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        return lua_pcall(l, args, results, handler);
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        return lua_pcallk(l, args, results, handler, 0, None);
    }
}

/// Calls the function that was pushed before its arguments, unprotected.
pub(crate) unsafe fn call(l: *mut State, args: c_int, results: c_int) {
    // SAFETY: the caller has pushed the function and its arguments; no continuation is given, so none can yield.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        lua_call(l, args, results);
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        lua_callk(l, args, results, 0, None);
    }
}

/// Calls `function` protected, with `data` as its only argument. An error is left on the stack.
/// Never raises, even without memory. So this is the only way in which Rust enters a state.
pub(crate) unsafe fn enter(l: *mut State, function: Function, data: *mut c_void) -> c_int {
    // SAFETY: the caller guarantees that `l` is valid and idle, so it has the free slots that every C function gets.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        return lua_cpcall(l, function, data);
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        {
            // Since 5.2 a function without upvalues needs no memory, so this push can't fail.
            pushfunction(l, function);
            pushlightuserdata(l, data);
            pcall(l, 1, 0, 0)
        }
    }
}

/// Opens all standard libraries.
pub(crate) unsafe fn openlibs(l: *mut State) {
    // SAFETY: the caller guarantees a valid state.
    unsafe {
        #[cfg(feature = "lua55")]
        luaL_openselectedlibs(l, !0, 0);
        #[cfg(not(feature = "lua55"))]
        luaL_openlibs(l);
    }
}

/// Opens only the library `package`.
pub(crate) unsafe fn openpackage(l: *mut State) {
    // SAFETY: the caller guarantees a valid state; the name is static.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        {
            pushfunction(l, luaopen_package);
            pushlstring(l, c"package".as_ptr(), 7);
            call(l, 1, 0);
        }
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        luaL_requiref(l, c"package".as_ptr(), luaopen_package, 1);
    }
}

/// Compiles code and pushes the function, or a message if the result is not [`OK`].
pub(crate) unsafe fn loadbuffer(l: *mut State, code: &[u8], name: &CStr) -> c_int {
    let (start, len) = (code.as_ptr().cast(), code.len());
    // SAFETY: both slices outlive the call, which copies what it keeps.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        return luaL_loadbuffer(l, start, len, name.as_ptr());
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        return luaL_loadbufferx(l, start, len, name.as_ptr(), std::ptr::null());
    }
}

/// Compiles a file and pushes the function, or a message if the result is not [`OK`].
pub(crate) unsafe fn loadfile(l: *mut State, path: &CStr) -> c_int {
    // SAFETY: the path outlives the call.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        return luaL_loadfile(l, path.as_ptr());
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        return luaL_loadfilex(l, path.as_ptr(), std::ptr::null());
    }
}

/// Pushes a full userdata of the given size.
pub(crate) unsafe fn newuserdata(l: *mut State, size: usize) -> *mut c_void {
    // SAFETY: the caller guarantees a valid state with a free slot.
    unsafe {
        #[cfg(any(feature = "lua54", feature = "lua55"))]
        return lua_newuserdatauv(l, size, 0);
        #[cfg(not(any(feature = "lua54", feature = "lua55")))]
        return lua_newuserdata(l, size);
    }
}

/// Pushes the value of a global.
pub(crate) unsafe fn getglobal(l: *mut State, name: &CStr) {
    // SAFETY: the name outlives the call.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        getfield(l, GLOBALSINDEX, name.as_ptr());
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        lua_getglobal(l, name.as_ptr());
    }
}

/// Pops a value and makes it a global.
pub(crate) unsafe fn setglobal(l: *mut State, name: &CStr) {
    // SAFETY: the name outlives the call.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        setfield(l, GLOBALSINDEX, name.as_ptr());
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        lua_setglobal(l, name.as_ptr());
    }
}

/// The value as a number, if it is a number or a string that converts to one. Never raises.
pub(crate) unsafe fn tonumber(l: *mut State, index: c_int) -> Number {
    // SAFETY: the caller guarantees a valid index.
    unsafe {
        #[cfg(any(feature = "lua51", feature = "luajit"))]
        return lua_tonumber(l, index);
        #[cfg(not(any(feature = "lua51", feature = "luajit")))]
        return lua_tonumberx(l, index, std::ptr::null_mut());
    }
}

/// The value as an integer, if this Lua has integers and the value is one. Never raises.
pub(crate) unsafe fn tointeger(l: *mut State, index: c_int) -> Option<Integer> {
    #[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
    {
        let _ = (l, index);
        None
    }
    // SAFETY: the caller guarantees a valid index.
    #[cfg(not(any(feature = "lua51", feature = "lua52", feature = "luajit")))]
    unsafe {
        (lua_isinteger(l, index) != 0).then(|| lua_tointegerx(l, index, std::ptr::null_mut()))
    }
}

#[cfg(any(feature = "lua51", feature = "luajit"))]
const GLOBALSINDEX: c_int = -10002;

#[cfg(any(feature = "lua51", feature = "luajit"))]
unsafe extern "C-unwind" {
    fn lua_pcall(l: *mut State, args: c_int, results: c_int, handler: c_int) -> c_int;
    fn lua_call(l: *mut State, args: c_int, results: c_int);
    fn lua_cpcall(l: *mut State, function: Function, data: *mut c_void) -> c_int;
    fn lua_tonumber(l: *mut State, index: c_int) -> Number;
    fn luaL_loadbuffer(l: *mut State, start: *const c_char, len: usize, name: *const c_char) -> c_int;
    fn luaL_loadfile(l: *mut State, path: *const c_char) -> c_int;
}

/// `int` in 5.2, `lua_KContext` since.
#[cfg(feature = "lua52")]
type Context = c_int;
#[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
type Context = isize;

/// Always null here, so its parameters do not matter.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
type Continuation = Option<Function>;

#[cfg(not(any(feature = "lua51", feature = "luajit")))]
unsafe extern "C-unwind" {
    fn luaL_requiref(l: *mut State, name: *const c_char, open: Function, global: c_int);
    fn lua_pcallk(
        l: *mut State,
        args: c_int,
        results: c_int,
        handler: c_int,
        context: Context,
        continuation: Continuation,
    ) -> c_int;
    fn lua_callk(l: *mut State, args: c_int, results: c_int, context: Context, continuation: Continuation);
    fn lua_tonumberx(l: *mut State, index: c_int, is_number: *mut c_int) -> Number;
    fn lua_getglobal(l: *mut State, name: *const c_char);
    fn lua_setglobal(l: *mut State, name: *const c_char);
    fn luaL_loadbufferx(
        l: *mut State,
        start: *const c_char,
        len: usize,
        name: *const c_char,
        mode: *const c_char,
    ) -> c_int;
    fn luaL_loadfilex(l: *mut State, path: *const c_char, mode: *const c_char) -> c_int;
}

/// The key of [`rawseti`].
#[cfg(any(feature = "lua51", feature = "lua52", feature = "luajit"))]
pub(crate) type Index = c_int;
#[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
pub(crate) type Index = Integer;

unsafe extern "C-unwind" {
    fn luaopen_package(l: *mut State) -> c_int;
    #[link_name = "lua_rawseti"]
    pub(crate) fn rawseti(l: *mut State, index: c_int, key: Index);
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    fn lua_isinteger(l: *mut State, index: c_int) -> c_int;
    #[cfg(any(feature = "lua53", feature = "lua54", feature = "lua55"))]
    fn lua_tointegerx(l: *mut State, index: c_int, is_integer: *mut c_int) -> Integer;
    #[cfg(any(feature = "lua54", feature = "lua55"))]
    fn lua_newuserdatauv(l: *mut State, size: usize, values: c_int) -> *mut c_void;
    #[cfg(not(any(feature = "lua54", feature = "lua55")))]
    fn lua_newuserdata(l: *mut State, size: usize) -> *mut c_void;
    #[cfg(feature = "lua55")]
    fn luaL_openselectedlibs(l: *mut State, load: c_int, preload: c_int);
    #[cfg(not(feature = "lua55"))]
    fn luaL_openlibs(l: *mut State);
}
