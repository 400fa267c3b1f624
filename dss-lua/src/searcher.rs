//! `searcher()`: `require` for libraries that declare themselves.

use dss_impl::declared::{self, ReadError};
use dss_impl::search;
use dss_impl::states::StateRef;
use mlua::prelude::*;

use crate::functions::Answer;
use crate::load;
use crate::raw::protect;

/// The registry key of the searcher, once it was installed.
static SEARCHER: u8 = 6;

/// Its place: after Lua's own searchers of what was preloaded and of Lua files, and before those of C modules. Behind them it
/// would never be asked: the one for C modules finds the same file by `package.cpath` and maps it, which runs its
/// constructors, and then ends the search with an error, for there is no `luaopen_` in it. What declares nothing is left to
/// those searchers, so nothing else is found otherwise than before.
const PLACE: usize = 3;

/// `darksidesync.searcher()` → whether it was installed now.
pub(crate) fn install(lua: &Lua, make: impl FnOnce() -> LuaResult<LuaFunction>) -> Answer<bool> {
    let list = load::package(lua).and_then(|package| {
        let list = |name| package.raw_get::<Option<LuaTable>>(name).ok().flatten();
        list("searchers").or_else(|| list("loaders"))
    });
    let Some(list) = list else {
        return Err("this Lua state has no `package.searchers`, and no `package.loaders` either: there is nothing that a \
             searcher could be installed in"
            .to_owned());
    };
    let install = || -> LuaResult<bool> {
        let known: Option<LuaFunction> = protect(lua, (), |stack| stack.push_own(&SEARCHER))?;
        let searcher = match known {
            Some(searcher) => searcher,
            None => {
                let searcher = make()?;
                protect::<()>(lua, &searcher, |stack| stack.set_own(&SEARCHER))?;
                searcher
            }
        };
        let address = searcher.to_pointer();
        let length = list.raw_len();
        for at in 1..=length {
            if let LuaValue::Function(other) = list.raw_get(at)?
                && other.to_pointer() == address
            {
                return Ok(false);
            }
        }
        list.raw_insert(PLACE.min(length + 1) as LuaInteger, searcher)?;
        Ok(true)
    };
    install().map_err(|error| error.to_string())
}

/// The searcher: a loader and its file, or why there is none. `make` makes the loader of a file.
///
/// # Errors
/// A file declares a library, and not one that can be loaded; or is cut off. Were it left to the next searcher, that would map
/// it.
pub(crate) fn search(
    lua: &Lua,
    name: &LuaValue,
    make: impl FnOnce(String) -> LuaResult<LuaFunction>,
) -> Answer<LuaMultiValue> {
    let LuaValue::String(name) = name else {
        return Err(format!(
            "bad argument #1 to the searcher of DSS: wanted a module's name, a string; found {}",
            load::found(Some(name))
        ));
    };
    let name = name.to_string_lossy();
    let aside = |reason: String| -> LuaResult<LuaMultiValue> { message(reason).into_lua_multi(lua) };
    let told = |error: LuaError| error.to_string();
    if let Err(bad) = search::check_name(&name) {
        return aside(format!("no library of DSS: {bad}")).map_err(told);
    }
    let file = match search::find(&name, &load::templates(lua)) {
        Ok(file) => file,
        Err(nowhere) => return aside(format!("no library of DSS: {nowhere}")).map_err(told),
    };
    let shown = file.display().to_string();
    match declared::read(&file) {
        Ok(_) => {}
        // What is cut off nobody can load, and who tries may be ended by the system for it.
        Err(
            error @ (ReadError::Damaged { .. }
            | ReadError::Invalid { .. }
            | ReadError::TwoDeclarations
            | ReadError::Truncated { .. }),
        ) => {
            return Err(format!("{shown} {error}"));
        }
        Err(error) => return aside(format!("no library of DSS: '{shown}' {error}")).map_err(told),
    }
    let loader = make(shown.clone()).map_err(told)?;
    (loader, shown).into_lua_multi(lua).map_err(told)
}

/// The loader of a file that declares a library.
pub(crate) fn load_file(lua: &Lua, state: StateRef, file: &str) -> Answer<LuaTable> {
    load::open(lua, state, file, "", None)
}

/// A searcher's message, as `require` puts them together: from 5.4 on it begins their lines itself.
fn message(reason: String) -> String {
    if cfg!(any(feature = "lua54", feature = "lua55")) { reason } else { format!("\n\t{reason}") }
}
