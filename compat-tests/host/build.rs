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

/// Makes a DLL of the compiled Lua under the name that modules use, and links its import library. The objects mark nothing for
/// export, so the linker exports everything in them.
fn link_dll(built: &Built, name: &str) -> PathBuf {
    println!("cargo::rerun-if-env-changed=DSS_HOST_DLL");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let folder = env::var_os("DSS_HOST_DLL").map_or(out, PathBuf::from);
    let dll = folder.join(format!("{name}.dll"));
    let compiler = cc::Build::new().opt_level(2).cargo_metadata(false).get_compiler();
    assert!(!compiler.is_like_msvc(), "the host's Lua is linked by gcc's or clang's options alone");
    let argument = |before: &str, path: &Path| format!("{before}{}", path.display());
    let status = compiler
        .to_command()
        .args(["-shared", "-static-libgcc", "-o"])
        .arg(&dll)
        .arg(argument("-Wl,--out-implib,", &folder.join(format!("lib{name}.dll.a"))))
        .arg("-Wl,--whole-archive")
        .arg(built.lib.join(format!("lib{}.a", built.name)))
        .arg("-Wl,--no-whole-archive")
        .status()
        .unwrap_or_else(|error| panic!("{}: {error}", compiler.path().display()));
    assert!(status.success(), "{} could not be linked: {status}", dll.display());
    folder
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
