//! Whether the Lua that loads this module is the one it is built for.

use dss_impl::declared::module::ModuleRecord;
use dss_impl::outcome::Failure;
use dss_impl::registry;

use crate::raw::Stack;

/// The Lua that this module is built for, by its own name.
pub(crate) const BUILT_FOR: &str = if cfg!(feature = "luajit") {
    "LuaJIT"
} else if cfg!(feature = "lua51") {
    "Lua 5.1"
} else if cfg!(feature = "lua52") {
    "Lua 5.2"
} else if cfg!(feature = "lua53") {
    "Lua 5.3"
} else if cfg!(feature = "lua55") {
    "Lua 5.5"
} else {
    "Lua 5.4"
};

const FEATURE: &str = if cfg!(feature = "luajit") {
    "luajit"
} else if cfg!(feature = "lua51") {
    "lua51"
} else if cfg!(feature = "lua52") {
    "lua52"
} else if cfg!(feature = "lua53") {
    "lua53"
} else if cfg!(feature = "lua55") {
    "lua55"
} else {
    "lua54"
};

/// The record in this module's file, for programs that read the file without loading it.
#[used]
#[cfg_attr(any(target_os = "macos", target_os = "ios"), unsafe(link_section = "__DATA,__dss_module"))]
#[cfg_attr(windows, unsafe(link_section = ".dssmod"))]
#[cfg_attr(not(any(windows, target_os = "macos", target_os = "ios")), unsafe(link_section = ".dss.module"))]
static RECORD: ModuleRecord = registry::module_record(BUILT_FOR);

/// Refers to the record where the module is entered, so that no linker removes it.
pub(crate) fn keep_record() {
    std::hint::black_box(&RECORD);
}

/// The Lua that loads this module, as its C API reports it.
enum Hosting {
    Known(&'static str),
    #[cfg_attr(
        any(feature = "lua51", feature = "luajit"),
        expect(dead_code, reason = "these have no number to give")
    )]
    /// The version number that this Lua reports, such as 506.
    Unknown(u32),
}

/// Finds the Lua by its version number.
#[cfg(not(any(feature = "lua51", feature = "luajit")))]
fn hosting(stack: Stack) -> Hosting {
    match stack.version() {
        502 => Hosting::Known("Lua 5.2"),
        503 => Hosting::Known("Lua 5.3"),
        504 => Hosting::Known("Lua 5.4"),
        505 => Hosting::Known("Lua 5.5"),
        other => Hosting::Unknown(other),
    }
}

/// Lua 5.1 and LuaJIT have the same API, and 5.1 does not report its version. They differ in the name of an internal type after
/// those that Lua programs know, which both have in their lists: a closed upvalue in one, C data in the other.
#[cfg(any(feature = "lua51", feature = "luajit"))]
fn hosting(stack: Stack) -> Hosting {
    const AFTER: std::ffi::c_int = 10;
    // SAFETY: both lists have eleven names, and one before them. No other Lua has the functions that this module is linked to.
    let name = unsafe { stack.type_name(AFTER) };
    Hosting::Known(if name == "cdata" { "LuaJIT" } else { "Lua 5.1" })
}

impl Stack {
    /// The version that this Lua reports.
    #[cfg(any(feature = "lua54", feature = "lua55"))]
    fn version(self) -> u32 {
        // SAFETY: see `new`.
        unsafe { mlua::ffi::lua_version(self.0) as u32 }
    }

    /// The version that this Lua reports.
    #[cfg(any(feature = "lua52", feature = "lua53"))]
    fn version(self) -> u32 {
        // SAFETY: see `new`.
        let version = unsafe { mlua::ffi::lua_version(self.0) };
        // SAFETY: NULL, or the address of a number, in each Lua that has all the functions that this module is linked to.
        unsafe { version.as_ref() }.map_or(0, |version| *version as u32)
    }
}

/// Finds out which Lua the host is, by its C API, because a program may have put anything into its globals. If a function is
/// missing that this module is linked to, the system's loader has already refused the module and said which. Raises nothing, and
/// needs no memory from Lua.
///
/// Returns a message that names both Luas if they differ.
pub(crate) fn mismatch(stack: Stack) -> Option<Failure> {
    let sentence = match hosting(stack) {
        Hosting::Known(found) if found == BUILT_FOR => return None,
        Hosting::Known(found) => {
            let wanted = found.to_lowercase().replace([' ', '.'], "");
            format!(
                "this darksidesync is built for {BUILT_FOR}, and {found} is loading it: install the one that is built with \
                 `--features {wanted}` (this one: {FEATURE})"
            )
        }
        Hosting::Unknown(found) => format!(
            "this darksidesync is built for {BUILT_FOR}, but the Lua that is loading it says that it is version {}.{}: use \
             Lua 5.1 to 5.5 or LuaJIT",
            found / 100,
            found % 100
        ),
    };
    Some(Failure::from(sentence.as_str()))
}
