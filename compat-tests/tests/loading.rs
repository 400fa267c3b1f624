//! How a library's file is found and read, seen from outside: where DSS looks, what it refuses, and that none of the code of
//! what it refuses runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use compat_tests::artefacts::{Artefacts, target};
use compat_tests::luas::{ALL, Lua};
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

/// What `script` prints in a Lua that finds its modules by `cpath`.
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

/// `DSS_LOG` prints what a layout check found. Where stderr takes nothing, that is lost, and nothing else.
#[cfg(target_os = "linux")]
#[test]
fn what_a_layout_check_found_is_told_to_a_stderr_that_is_full() {
    let lua54 = lua54();
    let script = "require 'darksidesync'; print(require 'probe_v1'.request(1, '^1.0', 'layout'))";
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 2>/dev/full"#]).arg(lua54.host());
    command.arg("--cpath").arg(lua54.folder.join("?.so")).args(["-e", script]).env("DSS_LOG", "1");
    let ended = limited(&mut command, Duration::from_secs(60));
    assert!(ended.succeeded(), "{}", ended.report());
    assert!(ended.stdout.contains("its types of revision v1 are not those of this DSS"), "{}", ended.stdout);
}

const WHERE: &str = "print(require 'darksidesync'.load 'probe_v2'._FILE)";

/// Without `DSS_PATH`: beside the module, and then where Lua looks for C modules. With it there, as it says.
#[test]
fn a_library_is_looked_for_beside_the_module_and_then_on_cpath() {
    let (lua54, place) = (lua54(), folder("search"));
    let [beside, cpath, named] = ["beside", "cpath", "named"].map(|name| place.join(name));
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
    let places: Vec<_> = [&beside, &cpath].map(|folder| told.find(&tried(folder))).into_iter().collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told}");
}

/// What a linker calls `libfswatch.so` is fswatch's file by a template that says so. Without one it is not, so that `require`
/// finds what it found before, and `load` says what is there.
#[cfg(target_os = "linux")]
#[test]
fn a_prefix_is_for_a_template_to_say() {
    let (lua54, place) = (lua54(), folder("prefix"));
    let file = place.join("libfswatch.so");
    // fswatch of v1, a Lua module, is on `package.cpath`, and that of v2 in a folder for DSS.
    copy(&lua54.for_every_lua.join("fswatch.so"), &file);
    let template = |name: &str| place.join(name).display().to_string();
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
        "no file '{}': there is 'libfswatch.so', and 'lib' is not put before a name",
        place.join("fswatch.so").display()
    );
    assert!(told.contains(&there) && told.ends_with(&advice), "{told}");
    let told = said(&format!("{plain};;"));
    assert!(told.contains("use `require`") && told.ends_with("\nfalse\nnil"), "{told}");
    for path in [prefixed.clone(), format!("{plain};{prefixed};;")] {
        assert_eq!(said(&path), format!("{shown}\ntrue\n{shown}"));
    }
    // Where the other one stands first, that is found.
    let told = said(&format!(";;{prefixed}"));
    assert!(told.contains("use `require`") && told.ends_with("\nfalse\nnil"), "{told}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_link_that_leads_nowhere_is_named() {
    let (lua54, place) = (lua54(), folder("link"));
    let (link, target) = (place.join("misfit.so"), place.join("misfit-1.2.so"));
    std::os::unix::fs::symlink("misfit-1.2.so", &link).expect("a fresh folder");
    let told = format!("no file '{}': it is a link, and there is no '{}'", link.display(), target.display());
    let path = place.join("?.so").display().to_string();
    for name in ["misfit".to_owned(), link.display().to_string()] {
        let script = format!("print(select(2, pcall(require 'darksidesync'.load, {name:?})))");
        let said = run(lua54, &[&lua54.folder], Some(&path), &script);
        assert!(said.contains(&told), "{said}");
    }
    let script = "require 'darksidesync'.searcher() print(select(2, pcall(require, 'misfit')))";
    let said = run(lua54, &[&lua54.folder], Some(&path), script);
    assert!(said.contains(&told), "{said}");
}

/// `bytes` with what `damage` made of them, in a file that is then loaded, and required; what was said. None of its code ran.
fn refused(name: &str, damage: impl FnOnce(&mut Vec<u8>)) -> [String; 2] {
    let (lua54, place) = (lua54(), folder(name));
    let mut bytes = fs::read(lua54.folder.join("misfit_fits.so")).expect("it was built");
    damage(&mut bytes);
    let (file, trace) = (place.join("misfit.so"), place.join("trace"));
    fs::write(&file, bytes).expect("the folder was just made");
    let load =
        format!("print(select(2, pcall(require 'darksidesync'.load, {:?})))", file.display().to_string());
    let require = "require 'darksidesync'.searcher() print(select(2, pcall(require, 'misfit')))";
    [load.as_str(), require].map(|script| {
        let mut command = Command::new(lua54.host());
        let cpath = [lua54.folder.join("?.so"), place.join("?.so")];
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

/// Where the declaration begins.
fn declaration(bytes: &[u8]) -> usize {
    bytes.windows(8).position(|window| window == b"DSS\0LIB\0").expect("it declares itself")
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_file_is_refused_and_none_of_its_code_runs() {
    let [load, require] = refused("cut", |bytes| bytes.truncate(bytes.len() / 2));
    assert!(load.contains("misfit.so") && load.contains("cut off"), "{load}");
    assert!(require.contains("misfit.so"), "{require}");
    let [load, require] = refused("empty", Vec::clear);
    assert!(load.contains("misfit.so") && load.contains("empty"), "{load}");
    assert!(require.contains("misfit.so"), "{require}");
    // Its processor: 64-bit ARM or x86, whichever this is not.
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
            // Not Lua's own searcher, which would map it to look for `luaopen_misfit`.
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

/// A file that takes the place of one that was loaded is read again, and what is wanted is told what the two are.
#[test]
fn a_file_that_was_replaced_is_told_from_the_one_that_was_loaded() {
    let (lua54, place) = (lua54(), folder("replaced"));
    let (file, newer) = (place.join("probe_v2.so"), place.join("newer.so"));
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
    let said = run(lua54, &[&lua54.folder], Some(&place.join("?.so").display().to_string()), &script);
    let [loaded, unwanted] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(loaded.contains(&format!("is loaded in this Lua state from {}", file.display())), "{loaded}");
    assert!(
        loaded.ends_with("and that file is of version 9.0.0 by now: start a new process to load it"),
        "{loaded}"
    );
    assert!(unwanted.contains("probe_v2 ^8 is wanted") && unwanted.contains("probe_v2 9.0.0"), "{unwanted}");
}

/// Has the system refuse a call to whatever `command` runs.
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
        // The call's number is the first field of what is looked at.
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | error as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: 4, filter: filters.as_ptr().cast_mut() };
        // SAFETY: it takes numbers alone.
        let private = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: the program lies there until the call returns, and is copied by it.
        let filtered =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if private == 0 && filtered == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: it makes two system calls, and allocates nothing.
    unsafe { command.pre_exec(install) };
}

#[cfg(target_os = "linux")]
#[test]
fn the_advice_where_no_socket_can_be_had_fits_the_error() {
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
        (libc::SYS_socket, libc::EACCES, "this process is forbidden to use UDP sockets"),
        (libc::SYS_connect, libc::EPERM, "this process is forbidden to use UDP sockets"),
        (libc::SYS_connect, libc::ENETUNREACH, "bring up the loopback interface"),
        (libc::SYS_socket, libc::EAFNOSUPPORT, "(os error 97)); the port"),
    ] {
        let said = refused(call, error);
        assert!(said.contains(advice) && !said.contains(descriptors), "{said}");
    }
}

/// The libraries of v2 that the scenarios run with are the same files in each Lua.
#[test]
fn one_and_the_same_file_serves_every_lua() {
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
    let first = sums(ALL[0]);
    for lua in ALL {
        assert_eq!(sums(lua), first, "{lua}");
    }
}
