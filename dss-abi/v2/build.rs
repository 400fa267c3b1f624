//! Asks the compiler for its name, which goes into the declaration of every library.

use std::env;
use std::process::Command;

/// How much of it the declaration has room for.
const ROOM: usize = 63;

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
}
