//! The command lines in the documents.
//!
//! Each line runs in the workspace; blocks that run as one script are in `scripts.rs`. Paths that lead out of the workspace or
//! into `target` are replaced by paths in the test's own folder. A line that would run the tests again, or that needs something
//! a machine may lack, does not run. It must be a known command, and the files, packages and options that it names must exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::artefacts::{cargo, selection, succeed, target, workspace};
use compat_tests::build_lock::BuildLock;
use compat_tests::walk;

use crate::blocks::Block;
use crate::{artefacts, folder, libraries, read};

/// Runs the lines of `block`.
pub(crate) fn run(block: &Block, all: &[Block]) {
    // Built first, because building takes the lock too.
    let _ = artefacts();
    let _lock = BuildLock::acquire(&target());
    let own = format!("shell/{}", block.name().replace(['/', ' ', ':'], "-"));
    // Files of an earlier run would hide that this run does not make them.
    let _ = fs::remove_dir_all(folder(&own));
    let folder = folder(&own);
    for line in lines(&block.text) {
        execute(&line, &folder, &own, all);
    }
    check(&folder, all);
}

/// The command lines of a block, without prompts and comments.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> + use<> {
    let text = text.replace("\\\n", " ");
    let plain = |line: &str| {
        line.strip_prefix("$ ")
            .unwrap_or(line)
            .split(" # ")
            .next()
            .expect("split gives one")
            .trim()
            .to_owned()
    };
    let lines: Vec<_> = text.lines().map(plain).collect();
    lines.into_iter().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn execute(line: &str, folder: &Path, own: &str, all: &[Block]) {
    let words: Vec<&str> = without_assignments(line).split_whitespace().collect();
    match *words {
        ["cargo", "hosts" | "long"] => {
            assert!(read(".cargo/config.toml").contains(&format!("{} = ", words[1])))
        }
        ["cargo", "test" | "bench" | "clippy" | "fmt" | "doc" | "demo" | "miri", ..] => {
            recognise(&words[1..])
        }
        ["cargo", "matrix", ref options @ ..] => recognise_matrix(options),
        ["luarocks", "make"] => {
            assert_eq!(
                entries(workspace())
                    .iter()
                    .filter(|it| it.extension().is_some_and(|it| it == "rockspec"))
                    .count(),
                1
            );
        }
        ["git", "tag", ..] => {}
        ["git", "clone", url] => {
            let known = read("Cargo.toml");
            assert!(known.contains(url.trim_end_matches(".git")), "the repository is not {url}");
        }
        ["cargo", "build", ref options @ ..] if options.contains(&"sqlite-v2") => {
            // With what is built along in the tests, so that it has the same features and is not compiled again.
            shell(&format!("{line} {}", selection(artefacts().lua).join(" ")), folder, workspace());
        }
        ["cargo", "build", ..] => shell(line, folder, workspace()),
        ["cargo", "package", ..] => {
            shell(&format!("{line} --allow-dirty --offline"), folder, workspace());
        }
        ["mkdir" | "cp" | "sudo" | "(cd", ..] => shell(line, folder, workspace()),
        ["cc" | "gcc", ..] if line.contains(" compat-tests/") => shell(line, folder, workspace()),
        ["cc" | "gcc", ..] => {
            for block in all.iter().filter(|block| block.language == "c") {
                let name = libraries::name(block).expect("a library in C has its luaopen_ function");
                libraries::c_sources(&name, block, own);
            }
            shell(line, folder, folder);
        }
        _ => panic!("no test knows how to run `{line}`"),
    }
}

/// Checks that `cargo matrix` has these options. The matrix itself would take too long.
fn recognise_matrix(options: &[&str]) {
    let known = read("compat-tests/matrix/src/args.rs");
    for option in options.iter().filter_map(|word| word.strip_prefix("--")) {
        let field = format!("pub(crate) {}:", option.replace('-', "_"));
        assert!(known.contains(&field), "cargo matrix has no option --{option}");
    }
}

/// The command after assignments like `NAME=value` and `NAME="some words"`.
pub(crate) fn without_assignments(line: &str) -> &str {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    match line.split_once('=') {
        Some((name, value)) if is_name(name) => {
            let end = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once("\" ").map(|(_, rest)| rest),
                None => value.split_once(' ').map(|(_, rest)| rest),
            };
            without_assignments(end.expect("a command follows the assignment").trim_start())
        }
        _ => line,
    }
}

/// Runs `line` with its paths replaced by paths in `folder`.
fn shell(line: &str, folder: &Path, inside: &Path) {
    let built = target().join("cargo");
    let replacements = [
        ("sudo ", String::new()),
        // The profile in which the tests have built most of it already: the test is of the command, not of how fast
        // what it builds is.
        (" --release", " --profile compat".to_owned()),
        ("target/release/", "target/compat/".to_owned()),
        ("/usr/local/", format!("{}/prefix/", folder.display())),
        ("compat-tests/releases/", format!("{}/releases/", folder.display())),
        (" target/", format!(" {}/", built.display())),
        ("/usr/include/lua5.4", libraries::include().display().to_string()),
    ];
    // The documents say how the commands differ on macOS.
    let mac = [("libdarksidesync.so", "libdarksidesync.dylib"), ("cc ", "cc -undefined dynamic_lookup ")]
        .map(|(from, to)| (from, to.to_owned()));
    let mac = if cfg!(target_os = "macos") { &mac[..] } else { &[] };
    let line =
        replacements.iter().chain(mac).fold(line.to_owned(), |line, (from, to)| line.replace(from, to));
    // What a command makes in a checkout goes into the folder.
    let line = if inside == workspace() {
        let own = |word: &str| match word.ends_with(".so") && !word.contains('/') {
            true => folder.join(word).display().to_string(),
            false => word.to_owned(),
        };
        line.split(' ').map(own).collect::<Vec<_>>().join(" ")
    } else {
        line
    };
    // Folders that a system would already have.
    for path in line.split_whitespace().filter(|word| word.contains("/prefix/")) {
        let parent = Path::new(path).parent().expect("it lies below the prefix");
        fs::create_dir_all(parent).expect("the target folder can be written to");
    }
    let mut command = Command::new("sh");
    command.arg("-ec").arg(&line).current_dir(inside);
    as_inner_cargo(&mut command);
    succeed(&mut command);
}

/// Gives a command the environment of the inner cargo.
pub(crate) fn as_inner_cargo(command: &mut Command) {
    for (name, value) in cargo().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Checks that what a block of commands made can be used.
fn check(folder: &Path, all: &[Block]) {
    let require = |cpath: &Path, path: &Path, name: &str| {
        let mut command = Command::new(artefacts().host());
        command.arg("--cpath").arg(cpath.join("?.so")).arg("--path").arg(path.join("?.lua"));
        succeed(command.arg("-e").arg(format!("require '{name}'")));
    };
    let installed = folder.join("prefix");
    let program = installed.join("bin/dss");
    if program.exists() {
        succeed(Command::new(program).arg("--version"));
    }
    let (lib, share) = (installed.join("lib/lua/5.4"), installed.join("share/lua/5.4"));
    if share.exists() || lib.join("darksidesync.so").exists() {
        require(&lib, &share, "darksidesync");
        require(&lib, &share, "dss");
    }
    let files = if installed.exists() { walk::files(&installed, |_| true) } else { Vec::new() };
    for file in files.into_iter().filter(|path| is_library(path)) {
        match file.parent() {
            Some(folder) if folder == lib => use_library(&file, false),
            Some(folder) if folder == installed.join("lib/dss") => use_library(&file, true),
            _ => panic!("{} is in a folder where nothing looks for libraries", file.display()),
        }
    }
    for file in entries(folder).into_iter().filter(|path| is_library(path)) {
        let name = file.file_stem().expect("a file").to_string_lossy();
        let by_dss = |block: &&Block| libraries::is_loaded_by_dss(block);
        let is_loaded = all.iter().filter(by_dss).filter_map(libraries::name).any(|it| it == name);
        use_library(&file, is_loaded);
    }
    let releases = folder.join("releases");
    for release in entries(&releases) {
        let sums = fs::read_to_string(release.join("SHA256SUMS")).expect("a release has its checksums");
        let names: Vec<_> =
            sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
        for revision in ["dss-abi-v2-1", "dss-abi-v2-derive-", "dss-impl-", "dss-lua-"] {
            assert!(names.iter().any(|name| name.starts_with(revision)), "{names:?} has no {revision}");
        }
        assert_eq!(names.len() + 1, entries(&release).len(), "{names:?} are not all files of the release");
    }
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "so")
}

/// Has DSS load the file, or else Lua, which looks in the file's folder first.
fn use_library(file: &Path, is_loaded_by_dss: bool) {
    let folders = [file.parent().expect("it lies in a folder"), &artefacts().folder];
    let templates = folders.map(|folder| folder.join("?.so").display().to_string());
    let code = if is_loaded_by_dss {
        format!("require('darksidesync').load '{}'", file.display())
    } else {
        let name = file.file_stem().expect("a file").to_string_lossy();
        format!("require 'darksidesync' require '{name}'")
    };
    let mut command = Command::new(artefacts().host());
    succeed(command.arg("--cpath").arg(templates.join(";")).arg("-e").arg(code));
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.expect("a readable folder").path()).collect()
}

/// Checks that the packages, tests and binaries that a cargo command names exist.
fn recognise(words: &[&str]) {
    if words[0] == "demo" {
        let config = read(".cargo/config.toml");
        assert!(
            config.contains("demo = \"run ") && config.contains("--bin demo"),
            "there is no alias `demo`"
        );
        assert!(read("compat-tests/Cargo.toml").contains("name = \"demo\""), "there is no binary `demo`");
    }
    let mut packages = members();
    for pair in words.windows(2) {
        match *pair {
            ["-p" | "--package", name] => {
                packages.retain(|(package, _)| package == name);
                assert!(!packages.is_empty(), "there is no package {name}");
            }
            ["--test", name] => {
                let file = format!("tests/{name}.rs");
                assert!(packages.iter().any(|(_, folder)| folder.join(&file).exists()), "there is no {file}");
            }
            ["--bench", name] => {
                let file = format!("benches/{name}.rs");
                assert!(packages.iter().any(|(_, folder)| folder.join(&file).exists()), "there is no {file}");
            }
            _ => {}
        }
    }
    if words[0] == "bench" {
        assert!(packages.iter().any(|(_, folder)| folder.join("benches").exists()), "there is no benchmark");
    }
}

/// The packages of the workspace, and their folders.
fn members() -> Vec<(String, PathBuf)> {
    let manifest = read("Cargo.toml");
    let (_, list) = manifest.split_once("members = [").expect("the workspace has members");
    let list = list.split(']').next().expect("split gives one");
    let folders = list.split('"').skip(1).step_by(2);
    let named = |folder: &str| {
        let manifest = read(&format!("{folder}/Cargo.toml"));
        let (_, name) = manifest.split_once("name = \"").expect("a package has a name");
        (name.split('"').next().expect("split gives one").to_owned(), workspace().join(folder))
    };
    folders.map(named).collect()
}
