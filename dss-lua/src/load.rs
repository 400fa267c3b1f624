//! `load(name [, requirement])`: a library that declares itself, as a table of its functions.

use std::env::consts::{DLL_EXTENSION, DLL_SUFFIX};
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf, absolute};
use std::sync::{Arc, OnceLock};

use dss_impl::image;
use dss_impl::load::{self, LoadError};
use dss_impl::search;
use dss_impl::states::StateRef;
use mlua::prelude::*;

use crate::call::{self, Library};
use crate::functions::Answer;
use crate::kept::{self, Kept};
use crate::objects::{self, Kind};
use crate::raw::{Stack, protect};

/// The registry key of the table of what was loaded: a file's name to the library's table, and that to the library that is
/// kept.
static LOADED: u8 = 5;

/// Where the module's own file lies, as the loader found it first: the working folder may be another later.
static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Notes where the module lies.
pub(crate) fn prepare() {
    FOLDER.get_or_init(|| {
        let file = image::file(crate::luaopen_darksidesync as *const () as usize)?;
        Some(absolute(file).ok()?.parent()?.to_owned())
    });
}

/// `darksidesync.load`
pub(crate) fn load(lua: &Lua, state: StateRef, arguments: &LuaMultiValue) -> Answer<LuaTable> {
    let name = match arguments.front() {
        Some(LuaValue::String(name)) => name.to_string_lossy(),
        other => {
            return Err(format!(
                "bad argument #1 to 'load': wanted a library's name, a string; found {}",
                found(other)
            ));
        }
    };
    let wanted = match arguments.get(1) {
        None | Some(LuaValue::Nil) => None,
        Some(LuaValue::String(wanted)) => Some(wanted.to_string_lossy()),
        other => {
            return Err(format!(
                "bad argument #2 to 'load': wanted a version requirement such as \"^1.2\", a string, or nothing for any \
                 version; found {}",
                found(other)
            ));
        }
    };
    open(lua, state, &name, &templates(lua), wanted.as_deref())
}

/// What a value is, with its article.
pub(crate) fn found(value: Option<&LuaValue>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(LuaValue::Nil) => "nil".to_owned(),
        // `mlua` tells apart what Lua's own sentences do not.
        Some(LuaValue::Integer(_) | LuaValue::Number(_)) => "a number".to_owned(),
        Some(LuaValue::LightUserData(_) | LuaValue::Error(_)) => "a userdata".to_owned(),
        Some(other) => format!("a {}", other.type_name()),
    }
}

/// The table of the library that `name` and `templates` lead to.
pub(crate) fn open(
    lua: &Lua,
    state: StateRef,
    name: &str,
    templates: &str,
    wanted: Option<&str>,
) -> Answer<LuaTable> {
    let told = |error: LuaError| error.to_string();
    let loaded = loaded(lua).map_err(told)?;
    if let Ok(file) = search::find(name, templates)
        && let Some((table, version)) = present(lua, &loaded, &file).map_err(told)?
    {
        // What is wanted is looked at again, of the file; that may be another by now.
        let (file, declared) = load::look_up(name, templates, wanted).map_err(sentence)?;
        if wanted.is_some() && declared.version.to_string() != version {
            return Err(format!(
                "{name} {version} is loaded in this Lua state from {}, and that file is of version {} by now: start a new \
                 process to load it",
                file.display(),
                declared.version
            ));
        }
        return Ok(table);
    }
    let module = load::load(state, name, templates, wanted).map_err(sentence)?;
    let functions = module.functions();
    let library = Arc::new(Library { module, functions });
    // Registered, and with no table to be called by, it could neither be used nor loaded again.
    table(lua, &loaded, &library).inspect_err(|_| library.module.give_up()).map_err(told)
}

fn sentence(error: LoadError) -> String {
    error.to_string()
}

/// The table of what was loaded from `file` and is still registered, and its version.
fn present(lua: &Lua, loaded: &LuaTable, file: &Path) -> LuaResult<Option<(LuaTable, String)>> {
    let LuaValue::Table(table) = loaded.raw_get::<LuaValue>(key(lua, file)?)? else { return Ok(None) };
    let kept: LuaValue = loaded.raw_get(&table)?;
    let mut library: *const Kept<Library> = std::ptr::null();
    protect::<()>(lua, kept, |stack| {
        library = stack.pointer_at(-1);
        stack.pop(1);
    })?;
    // SAFETY: `table` put it there, and the table of what was loaded has it.
    let library = unsafe { library.as_ref() }.and_then(Kept::get);
    let library = library.filter(|library| library.module.is_registered());
    Ok(library.map(|library| (table, library.module.version().to_owned())))
}

/// The table of what was loaded; made where there is none.
fn loaded(lua: &Lua) -> LuaResult<LuaTable> {
    protect(lua, (), |stack| {
        stack.push_own(&LOADED);
        if stack.type_at(-1) != mlua::ffi::LUA_TTABLE {
            stack.pop(1);
            stack.new_table(0);
            stack.push_value(-1);
            stack.set_own(&LOADED);
        }
    })
}

/// By whatever way a file was found, it is one.
fn key(lua: &Lua, file: &Path) -> LuaResult<LuaString> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    lua.create_string(file.as_os_str().as_encoded_bytes())
}

/// Makes the table of a library's functions, and the metatables of its classes.
fn table(lua: &Lua, loaded: &LuaTable, library: &Arc<Library>) -> LuaResult<LuaTable> {
    for class in library.module.classes() {
        let kind = Arc::new(Kind { library: Arc::clone(library), methods: class.methods(), class });
        protect::<()>(lua, (), |stack| objects::prepare(stack, &kind))?;
    }
    let table = lua.create_table()?;
    protect::<()>(lua, &table, |stack| {
        call::set_functions(stack, library);
        stack.set_top(0);
    })?;
    let module = &library.module;
    table.raw_set("_NAME", module.name())?;
    table.raw_set("_VERSION", module.version())?;
    table.raw_set("_FILE", module.file())?;
    let kept: LuaValue = protect(lua, (), |stack: Stack| kept::push(stack, library))?;
    loaded.raw_set(&table, kept)?;
    loaded.raw_set(key(lua, Path::new(module.file()))?, &table)?;
    Ok(table)
}

/// Where libraries are searched: the templates in `DSS_PATH`, whose default is the module's own folder, and then where Lua
/// searches its C modules now.
pub(crate) fn templates(lua: &Lua) -> String {
    let mut default: Vec<String> = Vec::new();
    if let Some(folder) = FOLDER.get().and_then(Option::as_ref) {
        let folder = folder.to_string_lossy();
        // In a template these two have a meaning, and no way to be meant themselves.
        if !folder.contains([';', '?']) {
            default.push(format!("{folder}{MAIN_SEPARATOR}?{DLL_SUFFIX}"));
            if DLL_EXTENSION != "so" && cfg!(unix) {
                // As Lua's own modules are called there.
                default.push(format!("{folder}{MAIN_SEPARATOR}?.so"));
            }
        }
    }
    default.extend(package(lua).and_then(|package| package.raw_get("cpath").ok()));
    let set = std::env::var_os("DSS_PATH");
    let set = set.as_ref().map(|set| set.to_string_lossy());
    search::templates(set.as_deref(), &default.join(";"))
}

/// Lua's own table of its loader, whatever the program has made of the global one.
pub(crate) fn package(lua: &Lua) -> Option<LuaTable> {
    let loaded: LuaTable = lua.named_registry_value("_LOADED").ok()?;
    loaded.raw_get("package").ok()
}
