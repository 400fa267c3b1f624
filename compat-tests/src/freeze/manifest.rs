//! What of a manifest crosses the boundary: the `abi_stable` that a crate is built with, which the crate that is published names
//! itself, and the tree's has from its workspace.

use std::fs;
use std::path::Path;

use toml_edit::{DocumentMut, Item};

const PACKAGE: &str = "abi_stable";

/// How the crate in `folder` of a tree wants another `abi_stable` than the manifest of its release does, if it does.
pub(super) fn differs(released: &str, tree: &Path, folder: &str, release: &str) -> Option<String> {
    // Of an archive that is not the one that was released, the checksum is told.
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

/// What a dependency is wanted as.
#[derive(PartialEq, Eq)]
enum Wanted {
    Version(String),
    OfWorkspace,
}

fn parse(manifest: &str) -> Option<DocumentMut> {
    manifest.parse().ok()
}

/// What the dependencies in a manifest, or in a workspace, say of `abi_stable`.
fn wanted(manifest: &Item) -> Option<Wanted> {
    let dependency = manifest.get("dependencies")?.get(PACKAGE)?;
    if dependency.get("workspace").and_then(Item::as_bool) == Some(true) {
        return Some(Wanted::OfWorkspace);
    }
    let version = dependency.as_str().or_else(|| dependency.get("version")?.as_str())?;
    Some(Wanted::Version(version.to_owned()))
}
