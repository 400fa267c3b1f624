//! `searcher()`: `require` for libraries that declare themselves.

use std::ffi::c_int;

use dss_impl::declared::{self, ReadError};
use dss_impl::search;
use mlua::ffi;

use crate::entry::{answer, plain};
use crate::guard;
use crate::load;
use crate::protected::{self, FIRST};
use crate::raw::Stack;

/// The registry key of the searcher, once it is installed.
static SEARCHER: u8 = 6;

/// The searcher's position: after Lua's searchers for preloaded modules and Lua files, and before those for C modules. After
/// these it would never be called. The one for C modules finds the same file by `package.cpath` and maps it, which runs its
/// constructors. Then it ends the search with an error, because the file has no `luaopen_` function. A file that declares nothing
/// is left to those searchers, so everything else is found as before.
const PLACE: c_int = 3;

/// `darksidesync.searcher()` → whether it was installed now.
pub(crate) unsafe extern "C-unwind" fn install(lua: *mut ffi::lua_State) -> c_int {
    plain(lua, |stack, _| {
        stack.set_top(0);
        if !push_list(stack) {
            stack.raise(
                b"this Lua state has neither `package.searchers` nor `package.loaders`, so no searcher can be installed: open \
                  the library `package` first",
            );
        }
        stack.replace(1);
        stack.set_top(1);
        push_searcher(stack);
        let length = stack.raw_length(1);
        for at in 1..=length {
            stack.raw_get_at(1, at);
            if stack.raw_equal(2, 3) {
                return stack.push_boolean(false);
            }
            stack.pop(1);
        }
        // From the end on: only the first step needs memory, and if it fails the list is unchanged.
        let place = PLACE.min(length + 1);
        for at in (place..=length).rev() {
            stack.raw_get_at(1, at);
            stack.raw_set_at(1, at + 1);
        }
        stack.push_value(2);
        stack.raw_set_at(1, place);
        stack.push_boolean(true);
    })
}

/// Pushes the list of searchers, above what led to it. Returns false if there is none. Raises.
fn push_list(stack: Stack) -> bool {
    if !load::push_package(stack) {
        return false;
    }
    [&b"searchers"[..], b"loaders"].into_iter().any(|name| {
        stack.push_bytes(name);
        stack.raw_get(2);
        stack.type_at(-1) == ffi::LUA_TTABLE
    })
}

/// Pushes the searcher, which is made once per state. Raises.
fn push_searcher(stack: Stack) {
    stack.push_own(&SEARCHER);
    if stack.type_at(-1) != ffi::LUA_TFUNCTION {
        stack.pop(1);
        guard::push_guard(stack);
        stack.push_function(protected::protected, 0);
        stack.push_function(search, 2);
        stack.push_value(-1);
        stack.set_own(&SEARCHER);
    }
}

/// The searcher. Returns a loader and its file, or why there is none.
///
/// Raises if a file declares a library that cannot be loaded, or is truncated. Otherwise the next searcher would map the file.
unsafe extern "C-unwind" fn search(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, _| {
        let name = lua.stack.text_at(FIRST)?.ok_or_else(|| {
            format!(
                "bad argument #1 to the searcher of DSS: wanted a module's name, a string; found {}",
                lua.stack.described(FIRST)
            )
        })?;
        if let Err(bad) = search::check_name(&name) {
            return lua.push_text(&message(format!("no DSS library: {bad}")));
        }
        let file = match search::find(&name, &load::templates(lua)?) {
            Ok(file) => file,
            Err(nowhere) => return lua.push_text(&message(format!("no DSS library: {nowhere}"))),
        };
        let shown = file.display().to_string();
        match declared::read(&file) {
            Ok(_) => {}
            // A truncated file cannot be loaded, and the system may end a process that tries.
            Err(
                error @ (ReadError::Damaged { .. }
                | ReadError::Invalid { .. }
                | ReadError::TwoDeclarations
                | ReadError::Truncated { .. }),
            ) => {
                return Err(format!("{shown} {error}").into());
            }
            Err(error) => return lua.push_text(&message(format!("no DSS library: '{shown}' {error}"))),
        }
        lua.run(|stack| {
            guard::push_guard(stack);
            stack.push_function(protected::protected, 0);
            stack.push_bytes(shown.as_bytes());
            stack.push_value(-1);
            stack.insert(1);
            stack.push_function(load_file, 3);
            stack.insert(1);
            2
        })
    })
}

/// The loader of a file that declares a library. Its third upvalue is the file's name.
unsafe extern "C-unwind" fn load_file(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| {
        let file = lua.stack.text_at(Stack::upvalue(3))?.unwrap_or_default();
        load::open(lua, guard.state(), &file, "", None)
    })
}

/// A searcher's message, in the form that `require` joins: from 5.4 on, `require` begins the lines itself.
fn message(reason: String) -> String {
    if cfg!(any(feature = "lua54", feature = "lua55")) { reason } else { format!("\n\t{reason}") }
}
