//! The compiler's messages for what an author gets wrong. Each file in `messages` is a library with one mistake.
//!
//! A line `//! says: TEXT` in it is a part of the message; the compiler's own words around it differ from version to version,
//! and are not compared. `//! flags: FLAGS` are for the compiler. A comment `// at: WORD` is on the line where the error points, at that word.
#![cfg(feature = "derive")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// This crate as its authors build it, and the folder of what it depends on.
fn build() -> (PathBuf, PathBuf) {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--offline", "--quiet", "--message-format=json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if cfg!(feature = "serde") {
        command.args(["--features", "serde"]);
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let of_crate = said.lines().find(|line| line.contains("libdss_abi_v2-")).expect("it says what it built");
    let library = of_crate
        .split('"')
        .find(|part| part.contains("libdss_abi_v2-") && part.ends_with(".rmeta"))
        .expect("it says which files");
    // What cargo puts beside it for others to find may be of other features by now.
    let library = PathBuf::from(library).with_extension("rlib");
    let folder = library.parent().expect("a file lies in a folder").to_owned();
    (library, folder)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// Compiles a library as cargo does, but for linking it: some mistakes are found with the code alone.
fn compile(file: &Path, (library, folder): &(PathBuf, PathBuf), flags: &[&str]) -> Output {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("messages");
    fs::create_dir_all(&out).expect("the target folder can be written to");
    rustc()
        .args(["--edition", "2021", "--crate-type", "cdylib", "--emit", "obj", "--color", "never"])
        .arg(file)
        .arg("--out-dir")
        .arg(&out)
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg("--extern")
        .arg(format!("dss_abi_v2={}", library.display()))
        .args(flags)
        .output()
        .expect("the compiler runs")
}

/// The message without its line breaks and the bars before its lines.
fn flat(message: &str) -> String {
    message.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ")
}

/// What a file says of its error: the texts, and the line and column, both from 1.
fn wanted(source: &str) -> (Vec<String>, Option<(usize, usize)>) {
    let says = source.lines().filter_map(|line| line.strip_prefix("//! says: ")).map(str::to_owned).collect();
    let place = source.lines().enumerate().find_map(|(at, line)| {
        let (code, word) = line.split_once("// at: ")?;
        Some((at + 1, code.find(word).expect("the word is on its line") + 1))
    });
    (says, place)
}

/// Where a file is not refused as it says.
fn differs(file: &Path, built: &(PathBuf, PathBuf)) -> Option<String> {
    let source = fs::read_to_string(file).expect("it was listed");
    let (says, place) = wanted(&source);
    assert!(!says.is_empty(), "{} says nothing of its error", file.display());
    let flags = source.lines().find_map(|line| line.strip_prefix("//! flags: ")).unwrap_or_default();
    let output = compile(file, built, &flags.split(' ').filter(|flag| !flag.is_empty()).collect::<Vec<_>>());
    let message = text(&output.stderr);
    let mut missing: Vec<String> =
        says.into_iter().filter(|text| !flat(&message).contains(&flat(text))).collect();
    if let Some((line, column)) = place {
        let place = format!("{}:{}:{}", file.display(), line, column);
        if !message.contains(&format!("--> {}\n", place)) {
            missing.push(format!("--> {}", place));
        }
    }
    if output.status.success() {
        missing.push("an error at all".to_owned());
    }
    if missing.is_empty() {
        return None;
    }
    Some(format!("{} lacks:\n    {}\nand has:\n{}", file.display(), missing.join("\n    "), message))
}

#[test]
fn each_mistake_has_a_message_that_says_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    assert!(files.len() > 20, "{} files", files.len());
    let built = build();
    let wrong: Vec<String> = files.iter().filter_map(|file| differs(file, &built)).collect();
    let compiler = text(&rustc().arg("-V").output().expect("the compiler runs").stdout);
    assert!(wrong.is_empty(), "with {}{} of {}:\n{}", compiler, wrong.len(), files.len(), wrong.join("\n"));
}
