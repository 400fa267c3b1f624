//! The book as a whole: its pages, its contents, and its reference of functions.

use std::path::Path;

use compat_tests::artefacts::workspace;
use compat_tests::freeze::sha256;
use compat_tests::walk;

use crate::read;

/// The folder of the pages.
const SOURCE: &str = "docs/src";
const CONTENTS: &str = "docs/src/SUMMARY.md";
const REFERENCE: &str = "docs/src/lua/reference.md";
/// The pages that list messages.
const MESSAGES: [&str; 2] = ["docs/src/deploying/upgrading.md", "docs/src/lua/errors.md"];
/// The types of all functions, for the Lua language server.
const TYPES: &str = "dss-lua/library";

/// All pages, and the contents.
pub(crate) fn pages() -> Vec<String> {
    files(SOURCE, "md")
}

/// The files below a folder of the workspace with this ending.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<String> {
    let found = walk::files(&workspace().join(folder), |_| true).into_iter();
    let found = found.filter(|path| path.extension().is_some_and(|it| it == ending));
    found.map(|path| path.strip_prefix(workspace()).expect("it lies below").display().to_string()).collect()
}

/// Checks that the contents list each page. That what they list exists is checked with the other links.
///
/// # Panics
/// A page is missing.
pub(crate) fn check_contents() {
    let contents = read(CONTENTS);
    for page in pages().iter().filter(|page| *page != CONTENTS) {
        let link = format!("({})", page.trim_start_matches(SOURCE).trim_start_matches('/'));
        assert!(contents.contains(&link), "{CONTENTS} does not list {page}");
    }
}

/// Checks that each picture was made of its source as it is.
///
/// # Panics
/// One was not.
pub(crate) fn check_pictures() {
    for source in files("docs/pictures", "dot") {
        let name = Path::new(&source).file_stem().expect("a file").to_string_lossy();
        let sum = sha256(read(&source).as_bytes());
        let picture = read(&format!("{SOURCE}/inside/{name}.svg"));
        assert!(
            picture.contains(&format!("<!-- source: {sum} -->")),
            "{name}.svg is not of {source}: run docs/pictures/make"
        );
    }
}

/// Checks that the modules of DSS's that Lua code requires are there.
///
/// # Panics
/// One is not.
pub(crate) fn check_modules(code: &str) {
    for form in ["require \"dss.", "require(\"dss."] {
        for (_, rest) in code.match_indices(form).map(|(at, _)| code.split_at(at + form.len())) {
            let name = rest.split('"').next().expect("split gives one");
            assert!(
                workspace().join(format!("dss-lua/lua/dss/{name}.lua")).exists(),
                "there is no dss.{name}"
            );
        }
    }
}

/// Checks that the reference has each function that the types have.
///
/// # Panics
/// A function is missing.
pub(crate) fn check_reference() {
    let reference = read(REFERENCE);
    let mut functions = 0;
    for file in files(TYPES, "lua") {
        for line in read(&file).lines() {
            let Some((name, _)) = line.strip_prefix("function ").and_then(|rest| rest.split_once('(')) else {
                continue;
            };
            let name = name.rsplit(['.', ':']).next().expect("rsplit gives one");
            let is_there = reference.match_indices(name).any(|(at, _)| {
                reference[at + name.len()..].starts_with('(')
                    && reference[..at].ends_with(|before: char| "`.: ".contains(before))
            });
            assert!(is_there, "{REFERENCE} does not have `{name}` of {file}");
            functions += 1;
        }
    }
    assert!(functions > 40, "{functions} functions");
}

/// Checks that the messages that pages list in tables are those of the code. Three dots stand for what differs.
///
/// # Panics
/// A message is in no source.
pub(crate) fn check_messages() {
    let mut code = String::new();
    for folder in ["dss-abi", "dss-cli/src", "dss-impl/src", "dss-lua/src", "dss-lua/lua"] {
        let sources = ["rs", "lua", "c", "h"].into_iter().flat_map(|ending| files(folder, ending));
        sources.for_each(|file| code.push_str(&read(&file)));
    }
    // A literal goes on behind a backslash at the end of a line. Names of what is put in differ.
    let code: String = code.split("\\\n").map(str::trim_start).collect();
    let code = code.replace("\\\"", "\"").replace('`', "");
    let mut checked = 0;
    for page in MESSAGES {
        for row in read(page).lines().filter_map(|line| line.strip_prefix("| `")) {
            let message = row.split(" | ").next().expect("split gives one").trim_end_matches('`');
            for part in message.split("...").map(|part| part.trim_matches([' ', ':', '`', '(', ')', '\''])) {
                // What is shorter says nothing. The system's loader says the other.
                if part.len() < 16 || part.starts_with("undefined symbol") {
                    continue;
                }
                assert!(
                    part.split("`, `").all(|part| code.contains(part)),
                    "{page}: no source says {part:?}"
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 25, "{checked} messages");
}
