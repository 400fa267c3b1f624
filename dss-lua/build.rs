//! How the module is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    match os.as_str() {
        // Lua's symbols come from the host.
        "macos" | "ios" => println!("cargo:rustc-cdylib-link-arg=-Wl,-undefined,dynamic_lookup"),
        "windows" => {}
        // Lua 5.1 and LuaJIT unload modules when a state closes, while libraries still hold DSS's code.
        _ => println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete"),
    }
}
