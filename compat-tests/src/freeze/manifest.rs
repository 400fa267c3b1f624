//! The part of a manifest that crosses the boundary: the version of `abi_stable`. A published crate has it in its own manifest;
//! a crate of the tree inherits it from the workspace.

use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, Item};

const PACKAGE: &str = "abi_stable";

/// How the `abi_stable` of the crate in `folder` differs from the one in its released manifest, if it does.
pub(super) fn differs(released: &str, tree: &Path, folder: &str, release: &str) -> Option<String> {
    // If the archive was changed, its checksum is reported elsewhere.
    let released = wanted(parse(released)?.as_item())?;
    let read = |folder: &str| parse(&fs::read_to_string(tree.join(folder).join("Cargo.toml")).ok()?);
    let own = read(folder).and_then(|manifest| wanted(manifest.as_item()));
    let here = match own {
        Some(Wanted::OfWorkspace) => read("").and_then(|manifest| wanted(manifest.get("workspace")?)),
        own => own,
    };
    if here.as_ref() == Some(&released) {
        return None;
    }
    let say = |wanted: Option<&Wanted>| match wanted {
        Some(Wanted::Version(version)) => format!("wants {PACKAGE} `{version}`"),
        _ => format!("wants no {PACKAGE}"),
    };
    Some(format!("{} here, and {} in {release}", say(here.as_ref()), say(Some(&released))))
}

/// The requirement of a dependency.
#[derive(PartialEq, Eq)]
enum Wanted {
    Version(String),
    OfWorkspace,
}

fn parse(manifest: &str) -> Option<DocumentMut> {
    manifest.parse().ok()
}

/// The requirement of `abi_stable` in the dependencies of a manifest or of a workspace.
fn wanted(manifest: &Item) -> Option<Wanted> {
    let dependency = manifest.get("dependencies")?.get(PACKAGE)?;
    if dependency.get("workspace").and_then(Item::as_bool) == Some(true) {
        return Some(Wanted::OfWorkspace);
    }
    let version = dependency.as_str().or_else(|| dependency.get("version")?.as_str())?;
    Some(Wanted::Version(version.to_owned()))
}
