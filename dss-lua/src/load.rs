//! `load(name [, requirement])`: loads a library that declares itself, and returns a table of its functions.

use std::env::consts::{DLL_EXTENSION, DLL_SUFFIX};
use std::ffi::c_int;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf, absolute};
use std::sync::{Arc, OnceLock};

use dss_impl::image;
use dss_impl::load::LoadError;
use dss_impl::registry;
use dss_impl::search;
use dss_impl::states::StateRef;
use mlua::ffi;
use semver::{Version, VersionReq};

use crate::call;
use crate::entry::answer;
use crate::identity::Identity;
use crate::kept::Kept;
use crate::kind::{Kind, Library};
use crate::objects;
use crate::protected::{Answer, FIRST, Protected};
use crate::raw::{LOADED as REQUIRED, Stack};

/// The registry key of the table of loaded libraries. It maps a file's name to the library's table, and that table to the kept
/// library. It has one table for each file: that of the latest load.
static LOADED: u8 = 5;

/// The folder of the module's own file. It is found early, because the working folder may change.
static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Records the module's folder.
pub(crate) fn prepare() {
    FOLDER.get_or_init(|| {
        let file = image::file(crate::luaopen_darksidesync as *const () as usize)?;
        Some(absolute(file).ok()?.parent()?.to_owned())
    });
}

/// `darksidesync.load`
pub(crate) unsafe extern "C-unwind" fn load(lua: *mut ffi::lua_State) -> c_int {
    answer(lua, |lua, guard| {
        let stack = lua.stack;
        let name = stack.text_at(FIRST)?.ok_or_else(|| {
            format!(
                "bad argument #1 to 'load': wanted a library's name, a string; found {}",
                stack.described(FIRST)
            )
        })?;
        let wanted = match stack.type_at(FIRST + 1) {
            ffi::LUA_TNONE | ffi::LUA_TNIL => None,
            ffi::LUA_TSTRING => stack.text_at(FIRST + 1)?,
            _ => {
                return Err(format!(
                    "bad argument #2 to 'load': wanted a version requirement such as \"^1.2\", a string, or nothing for any \
                     version; found {}",
                    stack.described(FIRST + 1)
                )
                .into());
            }
        };
        open(lua, guard.state(), &name, &templates(lua)?, wanted.as_deref())
    })
}

/// Pushes the table of the library that `name` and `templates` lead to.
pub(crate) fn open(
    lua: &Protected,
    state: StateRef,
    name: &str,
    templates: &str,
    wanted: Option<&str>,
) -> Answer {
    let found = search::find(name, templates).ok();
    if let Some(file) = &found
        && let Some(library) = present(lua, file)?
    {
        if !is_still(&library, name, file, wanted) {
            // The file is read again and checked against the requirement: it may be another file by now.
            let (file, declared) = registry::look_up(name, templates, wanted).map_err(sentence)?;
            let version = library.module.version();
            if wanted.is_some() && declared.version.to_string() != version {
                return Err(format!(
                    "{name} {version} is loaded in this Lua state from {}, but that file now has version {}: start a new \
                     process to load it",
                    file.display(),
                    declared.version
                )
                .into());
            }
        }
        return Ok(1);
    }
    // Taken before the file is read, so that a replacement in between is noticed later.
    let identity = found.as_deref().and_then(Identity::of);
    let module = registry::load(state, name, templates, wanted).map_err(sentence)?;
    let functions = module.functions();
    let library = Arc::new(Library { module, functions, identity });
    // A library that is registered, but has no table, could neither be used nor loaded again.
    table(lua, &library).inspect_err(|_| library.module.give_up())
}

fn sentence(error: LoadError) -> String {
    error.to_string()
}

/// Whether `file`, which was found for `name`, is certainly what was loaded, and meets the requirement. Then nothing needs to be
/// read. False means that it is not known.
fn is_still(library: &Library, name: &str, file: &Path, wanted: Option<&str>) -> bool {
    let named = library.module.name() == name || search::check_name(name).is_err();
    let fits = |wanted: &str| {
        let version = Version::parse(library.module.version());
        VersionReq::parse(wanted).is_ok_and(|wanted| version.is_ok_and(|version| wanted.matches(&version)))
    };
    let same = || library.identity.is_some() && library.identity == Identity::of(file);
    named && wanted.is_none_or(fits) && same()
}

/// Pushes the table of the library that was loaded from `file`, and returns the library, if it is still registered. If not, what
/// this pushes is of no use.
fn present(lua: &Protected, file: &Path) -> Answer<Option<Arc<Library>>> {
    let key = key(file);
    let mut library = None;
    lua.run(|stack| {
        push_loaded(stack);
        stack.push_bytes(key.as_os_str().as_encoded_bytes());
        stack.raw_get(1);
        if stack.type_at(2) != ffi::LUA_TTABLE {
            return 0;
        }
        stack.push_value(2);
        stack.raw_get(1);
        let kept: *const Kept<Library> = stack.pointer_at(3);
        // SAFETY: NULL, or what `table` put there, and the table of loaded libraries keeps it.
        library = unsafe { kept.as_ref() }.and_then(Kept::get);
        stack.set_top(2);
        1
    })?;
    Ok(library.filter(|library: &Arc<Library>| library.module.is_registered()))
}

/// Pushes the table of loaded libraries, and makes it if there is none. Raises.
fn push_loaded(stack: Stack) {
    stack.push_own(&LOADED);
    if stack.type_at(-1) != ffi::LUA_TTABLE {
        stack.pop(1);
        stack.new_table(0);
        stack.push_value(-1);
        stack.set_own(&LOADED);
    }
}

/// The key of a file, which is the same for every path to it.
fn key(file: &Path) -> PathBuf {
    fs::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// Pushes a new table of a library's functions, and makes the metatables of its classes.
fn table(lua: &Protected, library: &Arc<Library>) -> Answer {
    for class in library.module.classes() {
        let kind = Arc::new(Kind { library: Arc::clone(library), methods: class.methods(), class });
        lua.run(|stack| {
            objects::prepare(stack, &kind);
            0
        })?;
    }
    let module = &library.module;
    let key = key(Path::new(module.file()));
    lua.run(|stack| {
        stack.new_table(0);
        // Leaves the kept library on the stack.
        call::set_functions(stack, library);
        for (name, value) in
            [(c"_NAME", module.name()), (c"_VERSION", module.version()), (c"_FILE", module.file())]
        {
            stack.push_bytes(value.as_bytes());
            stack.set_field(1, name);
        }
        push_loaded(stack);
        // What was loaded from this file before has left. Its functions keep its library for as long as the program has them.
        stack.push_bytes(key.as_os_str().as_encoded_bytes());
        stack.raw_get(3);
        if stack.type_at(4) == ffi::LUA_TTABLE {
            stack.push_nil();
            stack.raw_set(3);
        }
        stack.set_top(3);
        stack.push_value(1);
        stack.push_value(2);
        stack.raw_set(3);
        stack.push_bytes(key.as_os_str().as_encoded_bytes());
        stack.push_value(1);
        stack.raw_set(3);
        stack.set_top(1);
        1
    })
}

/// Where libraries are searched: the templates in `DSS_PATH`. The default is the module's own folder, and then the places where
/// Lua now searches for C modules.
pub(crate) fn templates(lua: &Protected) -> Answer<String> {
    let mut default: Vec<String> = Vec::new();
    if let Some(folder) = FOLDER.get().and_then(Option::as_ref) {
        let folder = folder.to_string_lossy();
        // These two have a meaning in a template, and cannot be escaped.
        if !folder.contains([';', '?']) {
            default.push(format!("{folder}{MAIN_SEPARATOR}?{DLL_SUFFIX}"));
            if DLL_EXTENSION != "so" && cfg!(unix) {
                // Lua's own modules are named like this there.
                default.push(format!("{folder}{MAIN_SEPARATOR}?.so"));
            }
        }
    }
    let mut cpath = Ok(None);
    lua.run(|stack| {
        if push_package(stack) {
            stack.push_bytes(b"cpath");
            stack.raw_get(-2);
            cpath = stack.text_at(-1);
        }
        0
    })?;
    default.extend(cpath?);
    let set = std::env::var_os("DSS_PATH");
    let set = set.as_ref().map(|set| set.to_string_lossy());
    Ok(search::templates(set.as_deref(), &default.join(";")))
}

/// Pushes Lua's own `package` table, whatever the program has done to the global one. Returns false if there is none. Raises.
pub(crate) fn push_package(stack: Stack) -> bool {
    stack.push_registered(REQUIRED);
    if stack.type_at(-1) != ffi::LUA_TTABLE {
        return false;
    }
    stack.push_bytes(b"package");
    stack.raw_get(-2);
    stack.type_at(-1) == ffi::LUA_TTABLE
}
