//! `lua-host`: a plain Lua with a few tools for tests. There is one build for each of the six Luas.
//!
//! ```text
//! lua-host [--cpath P] [--path P] script.lua [args...]
//! lua-host [--cpath P] [--path P] -e CODE [args...]
//! lua-host --include
//! ```
//!
//! `P` is put before the entries of `package.cpath` or `package.path`. The exit code is 0, or 1 with the error and its
//! traceback on stderr. The state is closed before the process exits. `--include` prints the directory of this Lua's C
//! headers.
//!
//! Scripts find the tools in the global table `host`. They are documented where they are defined: `newstate` and
//! `thread` in `states.rs`, `udp` in `udp.rs`, `http` in `http.rs`, `fork` in `process.rs`, `forbid_membarrier` in
//! `seccomp.rs`, `fail` and `asked` in `memory.rs`, `heap` and `trim` in `heap.rs`, `newfolder` in `files.rs`, the rest in
//! `os.rs`; `host.lua` is the name of this Lua, "lua51" to "lua55" or "luajit".
//!
//! All of Lua is linked in and its API is exported, so that C modules find it in the executable as they do in `lua`. The host
//! exports nothing else, and contains nothing of DarkSideSync or of Lua bindings for Rust.

// Consecutive calls into Lua share one justification: this thread owns the state, and the frame owns nothing.
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod files;
mod heap;
mod http;
mod lua;
mod memory;
mod object;
mod os;
mod process;
mod seccomp;
mod states;
mod udp;
mod value;

use states::{Kind, LuaState, PATHS, Paths, Source};
use std::ffi::CString;
use std::io::Write;
use std::process::ExitCode;
use value::Value;

/// The name of this Lua.
const LUA: &str = env!("DSS_HOST_LUA");
const USAGE: &str =
    "usage: lua-host [--cpath P] [--path P] (script.lua | -e CODE) [args...], or lua-host --include";

fn main() -> ExitCode {
    os::restore_signals();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let mut stderr = std::io::stderr().lock();
            // If stderr is closed, the error cannot be reported anywhere.
            let _ = stderr.write_all(b"lua-host: ");
            let _ = stderr.write_all(&message);
            let _ = stderr.write_all(b"\n");
            ExitCode::FAILURE
        }
    }
}

/// Does what the command line asks for. The error is the message to print.
fn run() -> Result<(), Vec<u8>> {
    let mut args = std::env::args_os().skip(1).map(|arg| arg.into_encoded_bytes());
    let mut paths = Paths::default();
    let (code, script) = loop {
        let arg = args.next().ok_or(USAGE)?;
        match arg.as_slice() {
            b"--cpath" => paths.cpath = Some(args.next().ok_or(USAGE)?),
            b"--path" => paths.path = Some(args.next().ok_or(USAGE)?),
            b"-e" => break (Some(args.next().ok_or(USAGE)?), arg),
            b"--include" => {
                println!("{}", env!("DSS_HOST_INCLUDE"));
                return Ok(());
            }
            option if option.starts_with(b"-") => return Err(USAGE.into()),
            _ => break (None, arg),
        }
    };
    let _ = PATHS.set(paths);
    let rest: Vec<_> = args.map(Value::String).collect();
    let table: Vec<_> = std::iter::once(Value::String(script.clone())).chain(rest.iter().cloned()).collect();
    let path = CString::new(script).map_err(|_| "a path with a zero byte in it")?;
    let source = match &code {
        Some(code) => Source::Code(code, c"=(command line)"),
        None => Source::File(&path),
    };
    let state = LuaState::new(Kind::default())?;
    state.run(source, &rest, Some(&table), true).map(drop).map_err(|message| match message {
        Value::String(message) => message,
        _ => b"an error that is not a string".to_vec(),
    })
}

/// Makes the global table `host`. Runs inside a new state, protected.
///
/// # Safety
/// The caller's frame owns nothing.
unsafe fn open_host(l: *mut lua::State) {
    // SAFETY: the caller guarantees it; all names are static.
    unsafe {
        object::register_results(l);
        states::register(l);
        udp::register(l);
        http::register(l);
        lua::createtable(l, 0, 16);
        for functions in [
            states::FUNCTIONS,
            memory::FUNCTIONS,
            heap::FUNCTIONS,
            files::FUNCTIONS,
            udp::FUNCTIONS,
            http::FUNCTIONS,
            os::FUNCTIONS,
            process::FUNCTIONS,
            seccomp::FUNCTIONS,
        ] {
            object::set_functions(l, functions);
        }
        lua::pushlstring(l, LUA.as_ptr().cast(), LUA.len());
        lua::setfield(l, -2, c"lua".as_ptr());
        lua::setglobal(l, c"host");
    }
}
