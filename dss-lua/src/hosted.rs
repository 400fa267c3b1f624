//! Whether the Lua that loads this module is the one it is built for.

use dss_impl::declared::module::ModuleRecord;
use dss_impl::delivery::Failure;

use crate::raw::Stack;

/// The Lua this is built for, as it says of itself.
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

/// What the file of this module says of it, for who reads it without loading it.
#[used]
#[cfg_attr(any(target_os = "macos", target_os = "ios"), unsafe(link_section = "__DATA,__dss_module"))]
#[cfg_attr(windows, unsafe(link_section = ".dssmod"))]
#[cfg_attr(not(any(windows, target_os = "macos", target_os = "ios")), unsafe(link_section = ".dss.module"))]
static RECORD: ModuleRecord = ModuleRecord::new(BUILT_FOR);

/// Names the record where the module is entered, so that no linker throws it away.
pub(crate) fn keep_record() {
    std::hint::black_box(&RECORD);
}

/// Asks the host what it is. Uses functions that all Luas have under the names that this one has them by; where one is
/// missing, Lua could not load the module and has said which.
///
/// Returns a sentence that names both where they differ.
pub(crate) fn mismatch(stack: Stack) -> Option<Failure> {
    let asked = stack.load(c"return jit and 'LuaJIT' or _VERSION") && stack.protected_call(0, 1, 0);
    let found = stack.bytes_at(-1).filter(|_| asked).unwrap_or(b"a Lua that does not say its name");
    let same = found == BUILT_FOR.as_bytes();
    let sentence = || {
        let found = String::from_utf8_lossy(found);
        let wanted = match &*found {
            "LuaJIT" => "luajit".to_owned(),
            other => other.to_lowercase().replace([' ', '.'], ""),
        };
        Failure::from(
            format!(
                "this darksidesync is built for {BUILT_FOR}, and {found} loads it: install the one that is built with \
                 `--features {wanted}` (this one: {FEATURE})"
            )
            .as_str(),
        )
    };
    let result = (!same).then(sentence);
    stack.pop(1);
    result
}
