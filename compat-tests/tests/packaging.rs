//! `packaging/install`, as a distribution calls it: what it installs can be used, and holds no path of the machine that built it. Builds the
//! module for a release, which takes minutes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::luas::Lua;

/// The prefix that the files are installed for, below another folder.
const PREFIX: &str = "/usr";

const LIBRARY: &str = r#"
#include "dss.h"
static const dss_api *dss;
static int answer(dss_call call, void *self, const dss_value *arguments, size_t count) {
  dss_value value = dss_integer(42);
  (void)self, (void)arguments, (void)count;
  return dss->result(call, &value);
}
static int open_library(const dss_api *api, dss_call call, void **state) {
  (void)call, (void)state;
  dss = api;
  return DSS_OK;
}
static const dss_method functions[] = { { "answer", answer, NULL }, { NULL, NULL, NULL } };
static const dss_definition definition = { sizeof definition, 0, functions, NULL, NULL, open_library, NULL, NULL };
DSS_LIBRARY("packaged", "1.0.0", "^2.1", definition);
"#;

#[test]
fn what_is_installed_can_be_used_and_names_no_path_of_its_builder() {
    let root = target().join("packaging");
    let _ = fs::remove_dir_all(&root);
    let mut install = Command::new(workspace().join("packaging/install"));
    install.args(["--lua", "lua54", "--prefix", PREFIX, "--destdir"]).arg(&root);
    install
        .env("CARGO_TARGET_DIR", target().join("cargo"))
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    succeed(&mut install);
    let there = |path: &str| root.join("usr").join(path);

    let home = env::var_os("CARGO_HOME")
        .map_or_else(|| PathBuf::from(env::var_os("HOME").expect("a home")).join(".cargo"), PathBuf::from);
    for file in ["lib/lua/5.4/darksidesync.so", "bin/dss"] {
        for path in [workspace(), &home] {
            assert!(!holds(&there(file), path), "{file} holds {}", path.display());
        }
    }
    for file in [
        "share/man/man1/dss.1",
        "share/doc/darksidesync/LICENSE",
        "share/darksidesync/library/darksidesync.d.lua",
    ] {
        assert!(there(file).exists(), "{file} is not installed");
    }
    let version = succeed(Command::new(there("bin/dss")).arg("--version"));
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");

    // An author compiles a library with what pkg-config says.
    let config = |options: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", there("lib/pkgconfig")).env("PKG_CONFIG_SYSROOT_DIR", &root);
        succeed(command.args(options).arg("darksidesync")).trim().to_owned()
    };
    assert_eq!(config(&["--modversion"]), env!("CARGO_PKG_VERSION"));
    let source = root.join("packaged.c");
    fs::write(&source, LIBRARY).expect("it was just made");
    let libraries = there("lib/dss");
    assert_eq!(
        config(&["--variable=librarydir"]).trim_start_matches(&*root.to_string_lossy()),
        "/usr/lib/dss"
    );
    let mut compile = Command::new("cc");
    compile.args(["-std=c99", "-shared", "-fPIC", "-o"]).arg(libraries.join("packaged.so")).arg(&source);
    succeed(compile.args(config(&["--cflags"]).split_whitespace()));

    let mut lua = Command::new(Artefacts::of(Lua("lua54")).host());
    lua.arg("--path").arg(there("share/lua/5.4/?.lua")).arg("--cpath").arg(there("lib/lua/5.4/?.so"));
    lua.env("DSS_PATH", libraries.join("?.so")).arg("-e");
    let code =
        "require 'dss.task' require 'dss.poll' print(require('darksidesync').load('packaged').answer())";
    assert_eq!(succeed(lua.arg(code)).trim(), "42");
}

/// Whether a file holds the text of a path.
fn holds(file: &Path, path: &Path) -> bool {
    let (bytes, path) = (fs::read(file).expect("it was installed"), path.to_string_lossy());
    bytes.windows(path.len()).any(|window| window == path.as_bytes())
}
