//! Compiles the library that `c2v0` calls for.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=fuzzee.c");
    println!("cargo:rerun-if-changed=../dss-abi/c2v0/include/dss.h");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut compile = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compile.args([
        "-std=gnu11",
        "-O1",
        "-g",
        "-shared",
        "-fPIC",
        "-I",
        "../dss-abi/c2v0/include",
        "fuzzee.c",
        "-o",
    ]);
    let status = compile.arg(folder.join("fuzzee.so")).status().expect("a C compiler");
    assert!(status.success(), "the library did not compile");
}
