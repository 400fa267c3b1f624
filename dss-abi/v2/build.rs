//! Asks the compiler what it is: its name goes into the declaration of every library, and its version says what it knows.

use std::env;
use std::process::Command;

/// How much of it the declaration has room for.
const ROOM: usize = 63;

/// From this 1.x on the compiler knows `#[diagnostic::on_unimplemented]`; to an older one it is an error.
const KNOWS_DIAGNOSTICS: u32 = 78;
/// From this 1.x on the compiler wants to hear of each `cfg`; an older cargo warns of that.
const CHECKS_CFG: u32 = 80;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC");
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(compiler).arg("-V").output().map(|output| output.stdout).unwrap_or_default();
    let text: String = String::from_utf8_lossy(&said)
        .trim()
        .chars()
        .filter(|character| character.is_ascii_graphic() || *character == ' ')
        .take(ROOM)
        .collect();
    println!("cargo:rustc-env=DSS_ABI_V2_COMPILER={}", if text.is_empty() { "unknown" } else { &text });
    // One that does not say its version is taken for an old one: it builds, and its errors say less.
    let minor = minor(&text).unwrap_or(0);
    if minor >= KNOWS_DIAGNOSTICS {
        println!("cargo:rustc-cfg=dss_diagnostics");
    }
    if minor >= CHECKS_CFG {
        println!("cargo:rustc-check-cfg=cfg(dss_diagnostics)");
    }
}

/// The second number of `rustc 1.63.0 (...)`.
fn minor(text: &str) -> Option<u32> {
    text.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}
