//! Checks that imports between the modules of each crate go one way: a module imports only modules below it in these lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::workspace;
use walkdir::{DirEntry, WalkDir};

/// The core, from the top down. Modules of one line do not import each other.
const CORE: &[&[&str]] = &[
    &["registry"],
    // Works on revisions, but does not know the list of them.
    &["adapter", "load", "rendezvous"],
    &["revision"],
    &["states", "metrics"],
    // The core, which does not know any revision.
    &["dispatcher", "declared"],
    &["search", "library", "delivery"],
    &["channel"],
    &["capacity"],
    &["item"],
    &["waiter"],
    &["boundary"],
    &["port"],
    &["value"],
    // The ground: plain data, locks, memory.
    &["callbacks", "notifier"],
    &["pair", "thread"],
    &[
        "biased",
        "fork",
        "delegated",
        "queue",
        "outcome",
        "payload",
        "handle",
        "clock",
        "histogram",
        "descriptor",
        "image",
    ],
    &["barrier", "entrance", "bell", "chunks", "spares"],
    &["memory"],
    &["reserve"],
    &["sync"],
    &["cancellation"],
];

/// The module that Lua requires, from the top down.
const MODULE: &[&[&str]] = &[
    &["require"],
    &["functions", "hosted"],
    &["searcher", "stats", "sleep", "notifications"],
    &["load", "dispatch", "park"],
    &["entry", "objects", "poll", "describe"],
    &["call", "reply", "idle", "answers"],
    &["read", "closing"],
    &["values"],
    &["guard", "kind"],
    &["kept"],
    &["protected", "callbacks", "identity"],
    &["errors"],
    &["raw"],
];

/// The sources in a folder and below it.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.expect("a readable folder"));
    entries.map(DirEntry::into_path).filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

/// The text of a source file without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules of a crate, and the other modules that each imports.
fn imports(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources(source) {
        let within = file.strip_prefix(source).expect("it was found in there");
        let first = within.iter().next().expect("a file has a name").to_string_lossy();
        let module = first.trim_end_matches(".rs").trim_end_matches("_model").to_owned();
        if module == "lib" {
            continue;
        }
        let used = found.entry(module.clone()).or_default();
        let code = code(&file);
        assert!(!code.contains("crate::{"), "{}: import each module by a line of its own", file.display());
        for after in code.split("crate::").skip(1) {
            let name: String = after.chars().take_while(|it| it.is_ascii_lowercase() || *it == '_').collect();
            if !name.is_empty() && name != module {
                used.insert(name);
            }
        }
    }
    found
}

fn assert_one_way(source: &str, floors: &[&[&str]]) {
    let found = imports(&workspace().join(source));
    let floor = |module: &str| floors.iter().position(|floor| floor.contains(&module));
    for listed in floors.iter().flat_map(|floor| *floor) {
        assert!(found.contains_key(*listed), "{source} has no module `{listed}`: take it from the list");
    }
    let mut wrong = Vec::new();
    for (module, used) in &found {
        let Some(own) = floor(module) else {
            wrong.push(format!("`{module}` is not in the list"));
            continue;
        };
        // Other names are items of the crate's root.
        for other in used.iter().filter(|other| found.contains_key(*other)) {
            if floor(other).is_none_or(|other| other <= own) {
                wrong.push(format!("`{module}` imports `{other}`, which does not stand below it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{source}: {}", wrong.join("; "));
}

#[test]
fn the_arrows_of_the_core_go_one_way() {
    assert_one_way("dss-impl/src", CORE);
}

#[test]
fn the_arrows_of_the_module_go_one_way() {
    assert_one_way("dss-lua/src", MODULE);
}

/// Only the adapter of a revision names the revision's contract.
#[test]
fn the_core_names_no_revision() {
    let source = workspace().join("dss-impl/src");
    for file in sources(&source) {
        let within =
            file.strip_prefix(&source).expect("it was found in there").to_string_lossy().into_owned();
        if within.starts_with("adapter") && !within.starts_with("adapter/values") || within == "registry.rs" {
            continue;
        }
        let code = code(&file);
        for name in ["dss_abi_", "abi_stable::", "c1v0", "c2v0", "v1::", "v2::"] {
            assert!(!code.contains(name), "dss-impl/src/{within} names `{name}`");
        }
    }
}
