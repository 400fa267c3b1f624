//! Tests from outside how the file of a library is found and read: where DSS looks, which files it refuses, and that it runs no
//! code of a file that it refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, target};
use compat_tests::luas::{self, ALL, Lua};
use compat_tests::run::limited;
use sha2::{Digest, Sha256};

fn lua54() -> &'static Artefacts {
    let lua = ALL.into_iter().find(|lua| lua.0 == "lua54").expect("one of the six");
    Artefacts::of(lua)
}

/// A fresh folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = target().join("loading").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// Runs `script` in a Lua that finds its modules in the folders `cpath`, and returns what it prints.
fn run(artefacts: &Artefacts, cpath: &[&Path], dss_path: Option<&str>, script: &str) -> String {
    let mut command = Command::new(artefacts.host());
    let templates: Vec<_> = cpath.iter().map(|folder| folder.join("?.so").display().to_string()).collect();
    command.arg("--cpath").arg(templates.join(";")).args(["-e", script]);
    command.env_remove("DSS_PATH");
    if let Some(path) = dss_path {
        command.env("DSS_PATH", path);
    }
    let ended = limited(&mut command, Duration::from_secs(60));
    assert!(ended.succeeded(), "{script}: {}", ended.report());
    ended.stdout.trim().to_owned()
}

/// With `DSS_LOG`, the result of a layout check is printed. If stderr is full, only that text is lost.
#[cfg(target_os = "linux")]
#[test]
fn a_full_stderr_does_not_break_the_report_of_a_layout_check() {
    let lua54 = lua54();
    let script = "require 'darksidesync'; print(require 'probe_v1'.request(1, '^1.0', 'layout'))";
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 2>/dev/full"#]).arg(lua54.host());
    command.arg("--cpath").arg(lua54.folder.join("?.so")).args(["-e", script]).env("DSS_LOG", "1");
    let ended = limited(&mut command, Duration::from_secs(60));
    assert!(ended.succeeded(), "{}", ended.report());
    assert!(
        ended.stdout.contains("its types of revision v1 differ from those of this DSS"),
        "{}",
        ended.stdout
    );
}

const WHERE: &str = "print(require 'darksidesync'.load 'probe_v2'._FILE)";

/// Without `DSS_PATH`, DSS looks beside the module and then where Lua looks for C modules. With it, DSS looks where it says.
#[test]
fn a_library_is_looked_for_beside_the_module_and_then_on_cpath() {
    let (lua54, dir) = (lua54(), folder("search"));
    let [beside, cpath, named] = ["beside", "cpath", "named"].map(|name| dir.join(name));
    for folder in [&beside, &cpath, &named] {
        fs::create_dir_all(folder).expect("its parent was just made");
    }
    copy(&lua54.folder.join("darksidesync.so"), &beside.join("darksidesync.so"));
    let probe = lua54.for_every_lua.join("probe_v2.so");
    let found = |dss_path: Option<&str>| run(lua54, &[&beside, &cpath], dss_path, WHERE);
    let at = |folder: &Path| folder.join("probe_v2.so").display().to_string();

    copy(&probe, &cpath.join("probe_v2.so"));
    assert_eq!(found(None), at(&cpath));
    copy(&probe, &beside.join("probe_v2.so"));
    assert_eq!(found(None), at(&beside));
    copy(&probe, &named.join("probe_v2.so"));
    let template = named.join("?.so").display().to_string();
    assert_eq!(found(Some(&template)), at(&named));
    assert_eq!(found(Some(&format!("{template};;"))), at(&named));
    assert_eq!(
        found(Some(&format!(";;{template}"))),
        at(&beside),
        "the default stands where the two semicolons do"
    );
    assert_eq!(found(Some(";;")), at(&beside));
    let missing = "print(select(2, pcall(require 'darksidesync'.load, 'nowhere')))";
    let told = run(lua54, &[&beside, &cpath], None, missing);
    let tried = |folder: &Path| format!("no file '{}'", folder.join("nowhere.so").display());
    let positions: Vec<_> = [&beside, &cpath].map(|folder| told.find(&tried(folder))).into_iter().collect();
    assert!(positions.iter().all(Option::is_some) && positions.is_sorted(), "{told}");
}

/// `libfswatch.so` is the file of fswatch only with a template like `lib?.so`. Without one, `require` finds what it found
/// before, and the error of `load` mentions the file.
#[cfg(target_os = "linux")]
#[test]
fn a_prefix_needs_a_template() {
    let (lua54, dir) = (lua54(), folder("prefix"));
    let file = dir.join("libfswatch.so");
    // The fswatch of v1, a Lua module, is on `package.cpath`. The fswatch of v2 is in a folder for DSS.
    copy(&lua54.for_every_lua.join("fswatch.so"), &file);
    let template = |name: &str| dir.join(name).display().to_string();
    let [plain, prefixed] = ["?.so", "lib?.so"].map(template);
    let script = "local dss = require 'darksidesync' dss.searcher()
        local well, it = pcall(dss.load, 'fswatch')
        print(well and it._FILE or it)
        print(well and it == dss.load 'fswatch')
        print(require 'fswatch'._FILE)";
    let said = |path: &str| run(lua54, &[&lua54.folder], Some(path), script);
    let shown = file.display();
    let advice = format!(
        "{shown} is fswatch 1.0.0: rename it to fswatch.so, or add {prefixed} to DSS_PATH\nfalse\nnil"
    );
    let told = said(&plain);
    let there = format!(
        "no file '{}': there is 'libfswatch.so', but DSS does not put 'lib' before a name",
        dir.join("fswatch.so").display()
    );
    assert!(told.contains(&there) && told.ends_with(&advice), "{told}");
    let told = said(&format!("{plain};;"));
    assert!(told.contains("use `require`") && told.ends_with("\nfalse\nnil"), "{told}");
    for path in [prefixed.clone(), format!("{plain};{prefixed};;")] {
        assert_eq!(said(&path), format!("{shown}\ntrue\n{shown}"));
    }
    // If the template of the other one comes first, that one is found.
    let told = said(&format!(";;{prefixed}"));
    assert!(told.contains("use `require`") && told.ends_with("\nfalse\nnil"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_dangling_link_is_named() {
    let (lua54, dir) = (lua54(), folder("link"));
    let (link, target) = (dir.join("misfit.so"), dir.join("misfit-1.2.so"));
    std::os::unix::fs::symlink("misfit-1.2.so", &link).expect("a fresh folder");
    let told =
        format!("no file '{}': it is a link to '{}', which does not exist", link.display(), target.display());
    let path = dir.join("?.so").display().to_string();
    for name in ["misfit".to_owned(), link.display().to_string()] {
        let script = format!("print(select(2, pcall(require 'darksidesync'.load, {name:?})))");
        let said = run(lua54, &[&lua54.folder], Some(&path), &script);
        assert!(said.contains(&told), "{said}");
    }
    let script = "require 'darksidesync'.searcher() print(select(2, pcall(require, 'misfit')))";
    let said = run(lua54, &[&lua54.folder], Some(&path), script);
    assert!(said.contains(&told), "{said}");
}

/// Damages a copy of a library, then loads and requires it. Returns both error messages, and checks that none of its code ran.
fn refused(name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> [String; 2] {
    let (lua54, dir) = (lua54(), folder(name));
    let mut bytes = fs::read(lua54.folder.join("misfit_fits.so")).expect("it was built");
    damage(&mut bytes);
    let (file, trace) = (dir.join("misfit.so"), dir.join("trace"));
    fs::write(&file, bytes).expect("the folder was just made");
    let load =
        format!("print(select(2, pcall(require 'darksidesync'.load, {:?})))", file.display().to_string());
    let require = "require 'darksidesync'.searcher() print(select(2, pcall(require, 'misfit')))";
    [load.as_str(), require].map(|script| {
        let mut command = Command::new(lua54.host());
        let cpath = [lua54.folder.join("?.so"), dir.join("?.so")];
        command
            .arg("--cpath")
            .arg(cpath.map(|path| path.display().to_string()).join(";"))
            .args(["-e", script]);
        command.env("DSS_TEST_TRACE", &trace).env_remove("DSS_PATH");
        let ended = limited(&mut command, Duration::from_secs(60));
        assert!(ended.succeeded(), "{name}: {}", ended.report());
        assert!(!trace.exists(), "{name}: its code ran, and it was said: {}", ended.stdout);
        ended.stdout.trim().to_owned()
    })
}

/// The offset of the declaration in a file.
fn declaration(bytes: &[u8]) -> usize {
    bytes.windows(8).position(|window| window == b"DSS\0LIB\0").expect("it declares itself")
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_file_is_refused_and_none_of_its_code_runs() {
    let [load, require] = refused("cut", |bytes| bytes.truncate(bytes.len() / 2));
    assert!(load.contains("misfit.so") && load.contains("is incomplete"), "{load}");
    assert!(require.contains("misfit.so"), "{require}");
    let [load, require] = refused("empty", Vec::clear);
    assert!(load.contains("misfit.so") && load.contains("empty"), "{load}");
    assert!(require.contains("misfit.so"), "{require}");
    // Change its processor to 64-bit ARM or x86, whichever is not this one.
    let [load, require] = refused("processor", |bytes| {
        let other: u16 = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
        bytes[18..20].copy_from_slice(&other.to_ne_bytes());
    });
    assert!(
        load.contains("another processor") || load.contains("aarch64") || load.contains("AArch64"),
        "{load}"
    );
    assert!(require.contains("misfit.so"), "{require}");
    for (name, at, value) in [("size", 8, 4_u32), ("large", 8, u32::MAX), ("revision", 12, 0)] {
        let [load, require] = refused(name, |bytes| {
            let at = declaration(bytes) + at;
            bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        });
        for said in [load, require] {
            // Lua's own searcher must not be reached: it would map the file to look for `luaopen_misfit`.
            assert!(said.contains("misfit.so") && !said.contains("luaopen"), "{name}: {said}");
        }
    }
    let [load, require] = refused("name", |bytes| {
        let at = declaration(bytes) + 56;
        bytes[at..at + 64].fill(0xff);
    });
    for said in [load, require] {
        assert!(said.contains("misfit.so") && !said.contains("luaopen"), "{said}");
    }
}

/// A file that replaces a loaded one is read again, and the error names both versions.
#[test]
fn a_replaced_file_is_distinguished_from_the_loaded_one() {
    let (lua54, dir) = (lua54(), folder("replaced"));
    let (file, newer) = (dir.join("probe_v2.so"), dir.join("newer.so"));
    copy(&lua54.for_every_lua.join("probe_v2.so"), &file);
    let mut bytes = fs::read(&file).expect("it was just copied");
    let version = declaration(&bytes) + 120;
    bytes[version..version + 32].fill(0);
    bytes[version..version + 5].copy_from_slice(b"9.0.0");
    fs::write(&newer, bytes).expect("the folder was just made");
    let script = format!(
        "local dss = require 'darksidesync'
        local first = dss.load 'probe_v2'
        assert(os.rename({:?}, {:?}))
        assert(dss.load 'probe_v2' == first)
        print(select(2, pcall(dss.load, 'probe_v2', '^9')))
        print(select(2, pcall(dss.load, 'probe_v2', '^8')))",
        newer.display().to_string(),
        file.display().to_string(),
    );
    let said = run(lua54, &[&lua54.folder], Some(&dir.join("?.so").display().to_string()), &script);
    let [loaded, unwanted] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(loaded.contains(&format!("is loaded in this Lua state from {}", file.display())), "{loaded}");
    assert!(
        loaded.ends_with("but that file now has version 9.0.0: start a new process to load it"),
        "{loaded}"
    );
    assert!(unwanted.contains("probe_v2 ^8 is wanted") && unwanted.contains("probe_v2 9.0.0"), "{unwanted}");
}

/// Makes a system call fail with `error` in the process that `command` starts.
#[cfg(target_os = "linux")]
fn forbid(command: &mut Command, call: libc::c_long, error: libc::c_int) {
    use std::os::unix::process::CommandExt;

    let filter = move |code: u32, jump_true: u8, jump_false: u8, value: u32| libc::sock_filter {
        code: code as u16,
        jt: jump_true,
        jf: jump_false,
        k: value,
    };
    let filters = [
        // The number of the call is the first field of the filter's input.
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 4, filter: filters.as_ptr().cast_mut() };
        // SAFETY: the call takes only numbers.
        let private = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: the program outlives the call, which copies it.
        let filtered =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if private == 0 && filtered == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(install) };
}

#[cfg(target_os = "linux")]
#[test]
fn the_advice_after_a_failed_socket_fits_the_error() {
    let lua54 = lua54();
    let refused = |call, error| {
        let script = "local dss = require 'darksidesync' print(select(2, pcall(dss.setport, 50123))) print(dss.getport())";
        let mut command = Command::new(lua54.host());
        command.arg("--cpath").arg(lua54.folder.join("?.so")).args(["-e", script]);
        forbid(&mut command, call, error);
        let ended = limited(&mut command, Duration::from_secs(60));
        assert!(ended.succeeded(), "{}", ended.report());
        let said = ended.stdout;
        assert!(said.contains("no socket could be opened for notifications to port 50123"), "{said}");
        assert!(said.contains("; the port is unchanged\n0\n"), "{said}");
        said
    };
    let descriptors = "close some descriptors, or raise their limit";
    for error in [libc::EMFILE, libc::ENFILE] {
        assert!(refused(libc::SYS_socket, error).contains(descriptors));
    }
    for (call, error, advice) in [
        (libc::SYS_socket, libc::EACCES, "this process may not use UDP sockets"),
        (libc::SYS_connect, libc::EPERM, "this process may not use UDP sockets"),
        (libc::SYS_connect, libc::ENETUNREACH, "bring up the loopback interface"),
        (libc::SYS_socket, libc::EAFNOSUPPORT, "(os error 97)); the port"),
    ] {
        let said = refused(call, error);
        assert!(said.contains(advice) && !said.contains(descriptors), "{said}");
    }
}

/// The scenarios load the same files of v2's libraries in every Lua.
#[test]
fn the_same_file_serves_every_lua() {
    let sums = |lua: Lua| {
        let artefacts = Artefacts::of(lua);
        ["fswatch", "httpd", "sqlite", "probe_v2"].map(|name| {
            let script = format!("local it = require 'darksidesync'.load '{name}' print(it._FILE)");
            let path = artefacts.for_every_lua.join("?.so").display().to_string();
            let file = run(artefacts, &[&artefacts.folder], Some(&path), &script);
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
            format!("{:x}", Sha256::digest(bytes))
        })
    };
    let luas = luas::tested();
    let first = sums(luas[0]);
    for lua in luas {
        assert_eq!(sums(lua), first, "{lua}");
    }
}
