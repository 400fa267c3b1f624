//! Links the whole of the chosen Lua into the host and exports it, as a plain `lua` does. On Windows a module names the DLL that
//! its Lua is in, so this makes that DLL and its import library in the folder `DSS_HOST_DLL`.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The folders of the headers and of the static library of the compiled Lua.
struct Built {
    include: PathBuf,
    lib: PathBuf,
    name: String,
}

const FEATURES: [&str; 6] = ["LUA51", "LUA52", "LUA53", "LUA54", "LUA55", "LUAJIT"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DSS_HOST_APICHECK");
    let chosen: Vec<_> =
        FEATURES.into_iter().filter(|name| env::var_os(format!("CARGO_FEATURE_{name}")).is_some()).collect();
    let [lua] = chosen[..] else {
        println!(
            "cargo::error=choose exactly one Lua (`--no-default-features --features lua51`), not {chosen:?}"
        );
        return;
    };

    let built = build(lua, env::var_os("DSS_HOST_APICHECK").is_some());
    println!("cargo::rustc-env=DSS_HOST_LUA={}", lua.to_lowercase());
    println!("cargo::rustc-env=DSS_HOST_INCLUDE={}", built.include.display());
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "windows") {
        let name = lua.to_lowercase().replace("luajit", "lua51");
        let folder = link_dll(&built, &name);
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::rustc-link-lib=dylib={name}");
        return;
    }
    println!("cargo::rustc-link-search=native={}", built.lib.display());
    // Link all of it: modules call functions of Lua's API that the host itself never calls.
    println!("cargo::rustc-link-lib=static:+whole-archive={}", built.name);
    export();
}

#[cfg(any(feature = "lua51", feature = "lua52", feature = "lua53", feature = "lua54", feature = "lua55"))]
fn build(lua: &str, apicheck: bool) -> Built {
    let version = match lua {
        "LUA51" => lua_src::Lua51,
        "LUA52" => lua_src::Lua52,
        "LUA53" => lua_src::Lua53,
        "LUA54" => lua_src::Lua54,
        "LUA55" => lua_src::Lua55,
        _ => unreachable!("LuaJIT comes from elsewhere, and is never chosen together with one of these"),
    };
    // Lua is optimised in the debug profile too, because tests measure time and memory and look for races.
    let built = lua_src::Build::new().opt_level("2").debug(apicheck).build(version);
    Built { include: built.include_dir().into(), lib: built.lib_dir().into(), name: built.libs()[0].clone() }
}

/// LuaJIT's own makefile optimises in every profile.
#[cfg(all(
    feature = "luajit",
    not(any(feature = "lua51", feature = "lua52", feature = "lua53", feature = "lua54", feature = "lua55"))
))]
fn build(_: &str, apicheck: bool) -> Built {
    let built = luajit_src::Build::new().debug(apicheck).build();
    Built { include: built.include_dir().into(), lib: built.lib_dir().into(), name: built.libs()[0].clone() }
}

#[cfg(not(any(
    feature = "lua51",
    feature = "lua52",
    feature = "lua53",
    feature = "lua54",
    feature = "lua55",
    feature = "luajit"
)))]
fn build(_: &str, _: bool) -> Built {
    unreachable!("refused before, for want of a Lua")
}

/// Makes a DLL of the compiled Lua under the name that modules use, and links its import library.
fn link_dll(built: &Built, name: &str) -> PathBuf {
    println!("cargo::rerun-if-env-changed=DSS_HOST_DLL");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let folder = env::var_os("DSS_HOST_DLL").map_or(out.clone(), PathBuf::from);
    let (dll, exports) = (folder.join(format!("{name}.dll")), out.join("exports.def"));
    fs::write(&exports, definition(built)).expect("the build's own directory can be written to");
    let compiler = cc::Build::new().opt_level(2).cargo_metadata(false).get_compiler();
    let mut command = compiler.to_command();
    if compiler.is_like_msvc() {
        // The compiler wants a source, and leaves the object file in its working folder.
        let source = out.join("dll.c");
        fs::write(&source, "int dss_host_dll;\n").expect("the build's own directory can be written to");
        command.arg(&source).arg(built.lib.join(format!("{}.lib", built.name))).arg("/LD");
        command.current_dir(&out).arg(argument("/Fe:", &dll));
        command.arg("/link").arg(argument("/DEF:", &exports));
        command.arg(argument("/IMPLIB:", &folder.join(format!("{name}.lib"))));
    } else {
        command.args(["-shared", "-static-libgcc", "-o"]).arg(&dll).arg(&exports);
        command.arg(argument("-Wl,--out-implib,", &folder.join(format!("lib{name}.dll.a"))));
        command.arg("-Wl,--whole-archive").arg(built.lib.join(format!("lib{}.a", built.name)));
        command.arg("-Wl,--no-whole-archive");
    }
    let status = command.status().unwrap_or_else(|error| panic!("{}: {error}", compiler.path().display()));
    assert!(status.success(), "{} could not be linked: {status}", dll.display());
    folder
}

fn argument(before: &str, path: &Path) -> String {
    format!("{before}{}", path.display())
}

/// The module definition file that exports Lua's functions, because the compiled objects mark nothing for export. A header declares
/// each as `LUA_API type (name) (`, the older ones some without the first parentheses.
fn definition(built: &Built) -> String {
    let mut text = String::from("EXPORTS\n");
    for header in ["lua.h", "lauxlib.h", "lualib.h"] {
        let path = built.include.join(header);
        let header = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let marks = ["\nLUA_API", "\nLUALIB_API", "\nLUAMOD_API"];
        for declaration in marks.iter().flat_map(|mark| header.split(mark).skip(1)) {
            let (before, after) = declaration.split_once('(').expect("a function has arguments");
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let in_parentheses = after.split_once(')').map(|(name, _)| name);
            let alone = before.trim_end().rsplit(|c| !is_part(c)).next();
            let name = in_parentheses.filter(|name| name.chars().all(is_part)).or(alone);
            text += &format!("    {}\n", name.expect("a declaration has a name"));
        }
    }
    text
}

/// Exports Lua from the executable, so that modules loaded at run time find it.
fn export() {
    let os = env::var("CARGO_CFG_TARGET_OS").expect("cargo sets the target's OS");
    match os.as_str() {
        "macos" | "ios" => println!("cargo::rustc-link-arg-bins=-Wl,-export_dynamic"),
        _ => {
            // Export only Lua, not Rust's symbols, so that modules see what a plain `lua` shows them.
            let list = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("exports");
            fs::write(&list, "{ lua*; };\n").expect("the build's own directory can be written to");
            println!("cargo::rustc-link-arg-bins=-Wl,--dynamic-list={}", list.display());
        }
    }
}
