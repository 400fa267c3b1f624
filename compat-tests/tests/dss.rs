//! Tests the command `dss` on built files and on damaged ones, and checks that it runs none of their code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use compat_tests::artefacts::{Artefacts, succeed, target, workspace};
use compat_tests::luas::ALL;

fn artefacts(name: &str) -> &'static Artefacts {
    Artefacts::of(ALL.into_iter().find(|lua| lua.0 == name).expect("one of the six"))
}

/// A command that runs `dss`. The caller adds the arguments.
fn dss() -> Command {
    let mut command = Command::new(compat_tests::artefacts::dss());
    // The constructor of a library would write this file.
    command.env("DSS_TEST_TRACE", trace()).current_dir(workspace());
    command
}

fn trace() -> PathBuf {
    target().join("dss").join("trace")
}

/// Runs a command. Returns its stdout, its exit code and its stderr, and checks that no code of a library ran.
fn run(command: &mut Command) -> (String, i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("it was built");
    assert!(!trace().exists(), "a constructor ran");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), status.code().expect("it ends by itself"), text(stderr))
}

/// A fresh folder.
fn folder(name: &str) -> PathBuf {
    let folder = target().join("dss").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

/// Copies a file, after `change` has changed its bytes.
fn copy(from: &Path, to: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    change(&mut bytes);
    fs::write(to, bytes).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

fn module(lua: &str) -> PathBuf {
    artefacts(lua).folder.join("darksidesync.so")
}

fn has_all(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted:?} is not in\n{text}");
    }
}

#[test]
fn inspect_says_what_each_file_is() {
    let lua54 = artefacts("lua54");
    for (lua, title) in [("lua54", "Lua 5.4"), ("luajit", "LuaJIT")] {
        let (text, code, _) = run(dss().arg("inspect").arg(module(lua)));
        assert_eq!(code, 0, "{text}");
        has_all(&text, &["a DSS module", "2.1.0", title, "c1v0 1.0.0, v1 1.0.0, v2 1.0.0", "0.11", "rustc "]);
        if cfg!(target_os = "linux") {
            has_all(&text, &["prevented (linked with -z nodelete)"]);
        }
    }
    let library = |name: &str| lua54.for_every_lua.join(format!("{name}.so"));
    let (text, code, _) =
        run(dss().arg("inspect").arg(library("probe_v2")).arg(lua54.folder.join("misfit_abort.so")));
    assert_eq!(code, 0, "{text}");
    has_all(
        &text,
        &[
            "a library of revision v2",
            "probe_v2",
            "1.4.2",
            "DSS ^2.1",
            "v2 1.0.0, by dss-abi-v2",
            "unwind",
            "misfit",
        ],
    );
    has_all(&text, &["abort the process, so DSS refuses it"]);
    for (name, revision) in [("timer", "c1v0"), ("luaexit", "v1")] {
        let (text, ..) = run(dss().arg("inspect").arg(lua54.folder.join(format!("{name}.so"))));
        has_all(&text, &["without a declaration", &format!("a library of revision {revision}"), "luaopen_"]);
    }
    let (text, code, _) = run(dss().args(["inspect", "README.md", "dss-abi", "nowhere.so"]));
    assert_eq!(code, 1, "{text}");
    has_all(
        &text,
        &[
            "README.md is a text file, not a shared library",
            "dss-abi is a folder",
            "nowhere.so cannot be opened",
        ],
    );
}

#[test]
fn check_answers_for_a_folder_and_runs_nothing() {
    let (lua54, dir) = (artefacts("lua54"), folder("check"));
    for name in ["fswatch", "sqlite"] {
        copy(&lua54.for_every_lua.join(format!("{name}.so")), &dir.join(format!("{name}.so")), |bytes| {
            // g++ marks some files as Linux's, others as any system's that has ELF files.
            if cfg!(target_os = "linux") && name == "sqlite" {
                bytes[7] = 3;
            }
        });
    }
    copy(&lua54.folder.join("timer.so"), &dir.join("timer.so"), |_| {});
    copy(&module("lua54"), &dir.join("darksidesync.so"), |_| {});
    fs::write(dir.join("notes.txt"), "no library").expect("the folder was just made");
    fs::write(dir.join("linked.so"), "/* GNU ld script */").expect("the folder was just made");
    let check = |dir: &Path| run(dss().arg("check").arg("--module").arg(module("lua54")).arg(dir));
    let (text, code, _) = check(&dir);
    assert_eq!(code, 0, "{text}");
    has_all(&text, &["DSS 2.1.0 for Lua 5.4", "fswatch", "timer", "c1v0", "3 fit, 0 do not"]);
    assert!(!text.contains("linked.so") && !text.contains("notes.txt"), "{text}");

    for name in ["minor", "major", "revision", "abort"] {
        let name = format!("misfit_{name}.so");
        copy(&lua54.folder.join(&name), &dir.join(&name), |_| {});
    }
    if cfg!(target_os = "linux") {
        copy(&lua54.for_every_lua.join("httpd.so"), &dir.join("foreign.so"), |bytes| {
            let other: u16 = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
            bytes[18..20].copy_from_slice(&other.to_ne_bytes());
        });
        copy(&lua54.folder.join("misfit_fits.so"), &dir.join("damaged.so"), |bytes| {
            let at = bytes.windows(8).position(|it| it == b"DSS\0LIB\0").expect("it declares itself");
            bytes[at + 8] = 1;
        });
    }
    let began = Instant::now();
    let (text, code, _) = check(&dir);
    println!("{} files were checked in {} ms", 13, began.elapsed().as_millis());
    assert_eq!(code, 1, "{text}");
    has_all(
        &text,
        &[
            "misfit 3.1.4 requires DSS ^2.99, and this is DSS 2.1.0: upgrade DSS",
            "misfit 3.1.4 requires DSS ^3, and this is DSS 2.1.0: upgrade DSS",
            "wants revision v9 (1.0.0), and this DSS 2.1.0 offers c1v0 (1.0.0), v1 (1.0.0), v2 (1.0.0), c2v0 (0.1.0): upgrade DSS",
            "panic = \"abort\"",
            "3 fit,",
        ],
    );
    if cfg!(target_os = "linux") {
        has_all(
            &text,
            &["httpd is for", "but the module is for", "damaged has a damaged declaration", "6 do not"],
        );
    }
    // A file that is skipped in a folder is an error if it is named explicitly.
    let (text, code, _) = check(&dir.join("linked.so"));
    assert_eq!(code, 1, "{text}");
    has_all(&text, &["is a linker script, not a shared library"]);
}

/// Calls `load` in a Lua that looks for libraries in `path`. Returns the file that it loaded, or the error.
#[cfg(target_os = "linux")]
fn loaded(name: &str, path: &str) -> Result<String, String> {
    let lua54 = artefacts("lua54");
    let script = format!(
        "local well, it = pcall(require 'darksidesync'.load, '{name}') print(well, well and it._FILE or it)"
    );
    let mut command = Command::new(lua54.host());
    command.arg("--cpath").arg(lua54.folder.join("?.so")).args(["-e", &script]).env("DSS_PATH", path);
    let text = succeed(&mut command);
    match text.trim_end().split_once('\t') {
        Some(("true", file)) => Ok(file.to_owned()),
        Some(("false", error)) => Err(error.to_owned()),
        _ => panic!("{text}"),
    }
}

/// What `check` says about the name of a file is what `load` does.
#[cfg(target_os = "linux")]
#[test]
fn check_of_a_files_name_agrees_with_load() {
    let (lua54, dir) = (artefacts("lua54"), folder("names"));
    let library = |name: &str| lua54.for_every_lua.join(format!("{name}.so"));
    copy(&library("httpd"), &dir.join("httpd.so"), |_| {});
    copy(&library("fswatch"), &dir.join("libfswatch.so"), |_| {});
    copy(&library("sqlite"), &dir.join("database.so"), |_| {});
    copy(&library("sqlite"), &dir.join("sqlite.so.1"), |_| {});
    fs::create_dir(dir.join("elsewhere")).expect("a fresh folder");
    std::os::unix::fs::symlink(library("sqlite"), dir.join("elsewhere/sqlite.so")).expect("a fresh folder");
    let at = |name: &str| dir.join(name).display().to_string();
    let check = |file: &str, path: Option<&str>| {
        let mut command = dss();
        command.arg("check").arg("--module").arg(module("lua54")).arg(at(file));
        let (text, code, _) = run(command.args(path.map(|path| format!("--path={path}"))));
        (code == 0, text)
    };
    let own = format!("{};{}", at("?.so"), at("elsewhere/?.so"));
    let prefixed = at("lib?.so");
    let both = format!("{};{}", at("elsewhere/?.so"), at("?.so"));
    for (file, name, path, told) in [
        ("httpd.so", "httpd", None, "1 fit, 0 do not"),
        ("elsewhere/sqlite.so", "sqlite", None, "1 fit, 0 do not"),
        (
            "libfswatch.so",
            "fswatch",
            None,
            &*format!(
                "`load \"fswatch\"` looks for fswatch.so, and `load \"libfswatch\"` refuses this file, because its declared \
                 name is fswatch: rename it to fswatch.so, or add {prefixed} to DSS_PATH, and check with `--path`"
            ),
        ),
        ("libfswatch.so", "fswatch", Some(&*prefixed), "1 fit, 0 do not"),
        ("httpd.so", "httpd", Some(&prefixed), "`load \"httpd\"` does not find it: it looks for "),
        (
            "database.so",
            "database",
            None,
            "`load \"sqlite\"` looks for sqlite.so, and `load \"database\"` refuses this file, because its declared name is \
             sqlite: rename it to sqlite.so",
        ),
        (
            "sqlite.so.1",
            "sqlite",
            None,
            "sqlite.so.1: `load \"sqlite\"` looks for sqlite.so: rename it to sqlite.so",
        ),
        ("elsewhere/sqlite.so", "sqlite", Some(&both), "1 fit, 0 do not"),
        ("libfswatch.so", "libfswatch", Some(&own), "`load \"fswatch\"` does not find it: it looks for "),
    ] {
        let (well, text) = check(file, path);
        has_all(&text, &[told]);
        let folder = Path::new(&at(file)).with_file_name("?.so").display().to_string();
        let found = loaded(name, path.unwrap_or(&folder));
        assert_eq!(found == Ok(at(file)), well, "{file} by {path:?}: {found:?}\n{text}");
    }
    // Only the first file that is found is loaded.
    copy(&library("sqlite"), &dir.join("sqlite.so"), |_| {});
    let (well, text) = check("elsewhere/sqlite.so", Some(&own));
    has_all(&text, &[&format!("`load \"sqlite\"` finds {} before it", at("sqlite.so"))]);
    assert!(!well && loaded("sqlite", &own) == Ok(at("sqlite.so")), "{text}");
    // `;;` stands for the module's folder.
    copy(&module("lua54"), &dir.join("darksidesync.so"), |_| {});
    let mut command = dss();
    command.args(["check", "--path", ";;", "--module"]).arg(at("darksidesync.so")).arg(at("sqlite.so"));
    assert_eq!(run(&mut command).1, 0);
}

/// The same for Lua modules: Lua does not find a file with a linker's `lib` prefix.
#[cfg(target_os = "linux")]
#[test]
fn check_of_a_lua_modules_name_agrees_with_require() {
    for name in ["lua54", "luajit"] {
        let (lua, dir) = (artefacts(name), folder(&format!("names-{name}")));
        for (from, to) in [
            ("timer", "libtimer"),
            ("plain_v1", "plain_v1"),
            ("timer", "v2-timer"),
            ("timer", "timer-v2"),
            ("probe", "probe3"),
        ] {
            copy(&lua.folder.join(format!("{from}.so")), &dir.join(format!("{to}.so")), |_| {});
        }
        // LuaJIT and Lua 5.1 only try the part after the hyphen.
        let versioned = if name == "luajit" { "rename it to timer.so" } else { "1 fit, 0 do not" };
        for (file, told) in [
            (
                "libtimer",
                "`require \"timer\"` looks for timer.so, and `require \"libtimer\"` does not find `luaopen_libtimer` in \
                 this file: rename it to timer.so",
            ),
            ("plain_v1", "1 fit, 0 do not"),
            ("v2-timer", "1 fit, 0 do not"),
            ("timer-v2", versioned),
            ("probe3", "rename it to probe.so"),
        ] {
            let mut command = dss();
            command.arg("check").arg("--module").arg(module(name)).arg(dir.join(format!("{file}.so")));
            let (text, code, _) = run(&mut command);
            has_all(&text, &[told]);
            let own = dir.join("?.so").display().to_string();
            // Otherwise a module of that name from the build would be found first.
            let script =
                format!("require 'darksidesync' package.cpath = {own:?} print((pcall(require, '{file}')))");
            let mut command = Command::new(lua.host());
            command.arg("--cpath").arg(lua.folder.join("?.so")).args(["-e", &script]);
            assert_eq!(succeed(&mut command).trim() == "true", code == 0, "{name} {file}: {text}");
        }
    }
}

/// A file with the name of a library that cannot be loaded is reported. A file that has nothing to do with DSS is not.
#[cfg(target_os = "linux")]
#[test]
fn check_reports_every_broken_file_in_a_folder() {
    let (lua54, dir) = (artefacts("lua54"), folder("broken"));
    let library = lua54.for_every_lua.join("fswatch.so");
    fs::write(dir.join("page.so"), "<html>404 Not Found</html>").expect("a fresh folder");
    copy(&library, &dir.join("zeros.so"), |bytes| bytes[..64].fill(0));
    copy(&library, &dir.join("class.so"), |bytes| bytes[4] = 9);
    std::os::unix::fs::symlink("fswatch-1.2.so", dir.join("fswatch.so")).expect("a fresh folder");
    let stripped = dir.join("stripped.so");
    succeed(Command::new("objcopy").args(["--remove-section", ".dss.library"]).arg(&library).arg(&stripped));
    succeed(Command::new("mkfifo").arg(dir.join("fifo.so")));
    // Files that are not reported.
    copy(&lua54.folder.join("darksidesync.so"), &dir.join("darksidesync.so"), |_| {});
    fs::write(dir.join("other.c"), "int other;").expect("a fresh folder");
    succeed(Command::new("cc").args(["-shared", "-fPIC", "-o", "other.so", "other.c"]).current_dir(&dir));
    let (text, code, _) = run(dss().arg("check").arg("--module").arg(module("lua54")).arg(&dir));
    assert_eq!(code, 1, "{text}");
    let link = format!("is a link to '{}', which does not exist", dir.join("fswatch-1.2.so").display());
    has_all(
        &text,
        &[
            "page is a text file, not a shared library",
            "zeros is a file of a kind that DSS does not know",
            "class is a damaged ELF file",
            &link,
            "stripped is a DSS library (it has `dss_library_v2_open`), but its declaration was removed",
            "fifo is a FIFO",
            "0 fit, 6 do not",
        ],
    );
    for name in ["page", "zeros", "class", "fswatch", "stripped", "fifo"] {
        let path = dir.join("?.so").display().to_string();
        loaded(name, &path).expect_err("it was refused by the command");
    }
}

#[test]
fn check_prints_json() {
    let (lua54, misfit) = (artefacts("lua54"), folder("json").join("misfit.so"));
    copy(&lua54.folder.join("misfit_major.so"), &misfit, |_| {});
    let mut command = dss();
    command.arg("check").arg("--json").arg("--module").arg(module("lua54"));
    command.arg(lua54.for_every_lua.join("fswatch.so")).arg(misfit);
    let (text, code, _) = run(&mut command);
    assert_eq!(code, 1);
    let found: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(found["fit"], false);
    assert_eq!(found["module"]["version"], "2.1.0");
    assert_eq!(found["module"]["revisions"][2]["name"], "v2");
    let [fits, misfit] = [&found["libraries"][0], &found["libraries"][1]];
    assert_eq!(
        (&fits["name"], &fits["fits"], &fits["note"]),
        (&"fswatch".into(), &"yes".into(), &serde_json::Value::Null)
    );
    assert_eq!((&misfit["name"], &misfit["fits"]), (&"misfit".into(), &"no".into()));
    assert_eq!(misfit["note"], "misfit 3.1.4 requires DSS ^3, and this is DSS 2.1.0: upgrade DSS");
    let (text, code, _) = run(dss().args(["inspect", "--json", "README.md"]).arg(module("luajit")));
    assert_eq!(code, 1);
    let found: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&found[0]["is"], &found[1]["is"]), (&"other".into(), &"module".into()));
    assert_eq!(found[1]["lua"], "LuaJIT");
}

#[test]
fn bad_usage_has_its_own_exit_code() {
    let lua54 = artefacts("lua54");
    for arguments in
        [&[][..], &["check"], &["inspect"], &["layouts", "--revision", "v9"], &["layouts", "--diff", "v1"]]
    {
        let (text, code, said) = run(dss().args(arguments));
        assert_eq!((code, text.as_str()), (2, ""), "{arguments:?}");
        assert!(!said.is_empty());
    }
    let against = |file: &Path| {
        let (text, code, said) = run(dss().arg("check").arg("--module").arg(file).arg("."));
        assert_eq!((code, text.as_str()), (2, ""), "{said}");
        said
    };
    has_all(&against(Path::new("README.md")), &["--module: README.md is a text file"]);
    has_all(
        &against(&lua54.for_every_lua.join("fswatch.so")),
        &["is the library fswatch", "pass the module"],
    );
    has_all(&against(&lua54.folder.join("timer.so")), &["is not a DSS module"]);
}

/// Modules before 2.1.0 do not declare anything. This test removes the declaration of the current one.
#[cfg(target_os = "linux")]
#[test]
fn a_module_that_declares_nothing_is_recognised() {
    let old = folder("old").join("darksidesync.so");
    succeed(Command::new("objcopy").args(["--remove-section", ".dss.module"]).arg(module("lua54")).arg(&old));
    let (text, code, _) = run(dss().arg("inspect").arg(&old));
    assert_eq!(code, 0);
    has_all(&text, &["a DSS module from before 2.1.0, which does not declare what it offers"]);
    has_all(&text, &["2.0.0, by the names in it", "c1v0 1.0.0, v1 1.0.0"]);
    // A library of v1 fits. One of v2 is newer than the module.
    let artefacts = artefacts("lua54");
    let (text, code, _) =
        run(dss().arg("check").arg("--module").arg(&old).arg(artefacts.folder.join("probe_v1.so")));
    assert_eq!(code, 0, "{text}");
    let late = artefacts.for_every_lua.join("probe_v2.so");
    let (text, code, _) = run(dss().arg("check").arg("--module").arg(&old).arg(late));
    assert_eq!(code, 1, "{text}");
    has_all(&text, &["probe_v2 1.4.2", "2.0.0", "v1 1.0.0", "upgrade"]);
}

#[test]
fn layouts_match_the_files_and_differences_are_named() {
    let on_file = |revision: &str| {
        let path = workspace().join("dss-abi").join(revision).join("layout.txt");
        fs::read_to_string(path).expect("each revision has its layouts on file")
    };
    for revision in ["v1", "v2"] {
        let (text, code, _) = run(dss().args(["layouts", "--revision", revision]));
        assert_eq!((text, code), (on_file(revision), 0));
        let file = format!("dss-abi/{revision}/layout.txt");
        assert_eq!(
            run(dss().args(["layouts", "--diff", revision, &file])),
            (String::new(), 0, String::new())
        );
    }
    let (text, code, _) = run(dss().arg("layouts"));
    assert_eq!((text, code), (format!("{}\n{}", on_file("v1"), on_file("v2")), 0));
    let changed = folder("layouts").join("changed.txt");
    fs::write(&changed, on_file("v2").replace("    items: usize (size 8", "    items: u32 (size 4"))
        .expect("a fresh folder");
    let (text, code, _) = run(dss().args(["layouts", "--diff", "v2"]).arg(&changed));
    assert_eq!(code, 1);
    let wanted = "  RawLimits: size 32, alignment 8\n-     items: usize (size 8, alignment 8)\n+     items: u32 (size 4, alignment 8)\n";
    assert_eq!(text, wanted);
}

#[test]
fn completions_and_the_manual_are_of_the_same_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (text, code, _) = run(dss().args(["completions", shell]));
        assert_eq!(code, 0);
        has_all(&text, &["inspect", "check", "layouts"]);
    }
    let (text, code, _) = run(dss().arg("man"));
    assert_eq!(code, 0);
    has_all(&text, &[".TH dss 1", "inspect", "module", "LIBRARY", "diff"]);
}

/// `dss check` must find an incomplete copy.
#[test]
fn a_folder_with_a_truncated_library_does_not_fit() {
    let (lua54, dir) = (artefacts("lua54"), folder("cut"));
    let library = lua54.for_every_lua.join("fswatch.so");
    copy(&library, &dir.join("fswatch.so"), |_| {});
    copy(&library, &dir.join("cut.so"), |bytes| bytes.truncate(100_000));
    copy(&library, &dir.join("empty.so"), Vec::clear);
    let (text, code, _) = run(dss().arg("check").arg("--module").arg(module("lua54")).arg(&dir));
    assert_eq!(code, 1, "{text}");
    has_all(&text, &["cut.so", "is incomplete", "empty.so", "is empty", "1 fit", "2 do not"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_name_need_not_be_utf8_and_a_full_disk_is_reported() {
    use std::os::unix::ffi::OsStrExt;

    let dir = folder("name");
    let file = dir.join(std::ffi::OsStr::from_bytes(b"b\xff.so"));
    copy(&artefacts("lua54").for_every_lua.join("fswatch.so"), &file, |_| {});
    let (text, code, said) = run(dss().args(["inspect", "--json"]).arg(&file));
    assert_eq!(code, 0, "{text}{said}");
    let mut check = dss();
    check.args(["check", "--json", "--module"]).arg(module("lua54")).arg(&dir);
    let (text, code, said) = run(&mut check);
    assert_eq!(code, 1, "{text}{said}");
    has_all(&text, &["`load \\\"fswatch\\\"` looks for fswatch.so: rename it to fswatch.so"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let ended = check.stdout(full).spawn().and_then(std::process::Child::wait_with_output);
    assert_eq!(ended.expect("it was built").status.code(), Some(2), "what it found was lost");
}
