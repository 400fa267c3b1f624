//! Loads a library that declares itself: from its name to a module that Lua can call.
//!
//! If the library's declaration does not fit, it is refused before any of its code runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dss_abi::Rendezvous;
use semver::VersionReq;

use crate::declared::{self, Declared, Known, Offering};
use crate::revision::{Revision, by_number, name_of};
use crate::search::{self, Instead, NotFound, Tried};
use crate::states::StateRef;
use crate::value::Module;

/// Why a library was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is no file of that name. The text lists the files that were tried, one per line.
    NotFound(String),
    /// The file cannot be loaded. The text is a sentence.
    Refused(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::NotFound(text) | LoadError::Refused(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LoadError {}

/// Finds the file of `name`, which may be an absolute path, and returns it with its declaration. The declaration must fit `offering`
/// and the version requirement `wanted`. Runs none of the library's code. [any-thread] `[blocks]` while files are read.
///
/// # Errors
/// [`LoadError`]
pub fn look_up(
    name: &str,
    templates: &str,
    wanted: Option<&str>,
    offering: &Offering,
    known: &[Known],
) -> Result<(PathBuf, Declared), LoadError> {
    let wanted = wanted
        .map(|text| {
            VersionReq::parse(text).map_err(|error| {
                LoadError::Refused(format!(
                    "bad argument #2 to 'load': wanted a version requirement such as \"^1.2\", found \"{text}\" ({error})"
                ))
            })
        })
        .transpose()?;
    let file = search::find(name, templates).map_err(|error| match &error {
        NotFound::Nowhere { tried, .. } => LoadError::NotFound(format!("{error}{}", advice(name, tried))),
        _ => LoadError::Refused(error.to_string()),
    })?;
    let declared =
        declared::read(&file).map_err(|error| LoadError::Refused(format!("{} {error}", file.display())))?;
    if search::check_name(name).is_ok() && declared.name != name {
        return Err(LoadError::Refused(format!(
            "{} was found for {name}, but its declared name is {}: rename the file to {}, and load {}",
            file.display(),
            declared.name,
            called(&declared.name, &file),
            declared.name
        )));
    }
    declared::fits(&declared, offering, wanted.as_ref(), known)
        .map_err(|error| LoadError::Refused(error.to_string()))?;
    Ok((file, declared))
}

/// The file name that `name` needs, with the extension of `file`.
fn called(name: &str, file: &Path) -> String {
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    search::file_of(name, &ending).display().to_string()
}

/// What to do if `name` was not found, but a file next to one that was tried is the library under another name.
fn advice(name: &str, tried: &[Tried]) -> String {
    let told = tried.iter().find_map(|tried| {
        let Some(Instead::Prefixed { file, template }) = &tried.instead else { return None };
        let declared = declared::read(file).ok().filter(|declared| declared.name == name)?;
        let mut told = format!(
            "\n{} is {name} {}: rename it to {}",
            file.display(),
            declared.version,
            called(name, file)
        );
        if let Some(template) = template {
            told += &format!(", or add {template} to DSS_PATH");
        }
        Some(told)
    });
    told.unwrap_or_default()
}

/// Opens the library in `file`, which fits a DSS that offers `revisions`. No library of that name may be registered in the Lua state.
/// [lua-thread]
///
/// # Errors
/// [`LoadError`]
pub fn open(
    state: StateRef,
    file: &Path,
    declared: &Declared,
    revisions: &[&Revision],
    rendezvous: &'static Rendezvous,
) -> Result<Arc<dyn Module>, LoadError> {
    let shown = file.display().to_string();
    let registered =
        state.dispatcher.libraries().map_err(|error| LoadError::Refused(error.to_string()))?.into_iter();
    let other =
        registered.filter(|library| library.name.as_deref() == Some(&declared.name)).find_map(|it| it.file);
    if let Some(other) = other {
        return Err(LoadError::Refused(if *other == *shown {
            format!(
                "{} is loaded in this Lua state from {other}, but that file has been replaced since: start a new process to \
                 load it",
                declared.name
            )
        } else {
            format!(
                "there are two libraries named {}: {other} is loaded in this Lua state, and {shown} was found: load one of \
                 them, or rename the other",
                declared.name
            )
        }));
    }
    let Some(open) = by_number(revisions, declared.revision).and_then(Revision::open) else {
        return Err(LoadError::Refused(format!(
            "{} in {shown} is of revision {}, whose libraries are Lua modules: use `require`",
            declared.name,
            name_of(revisions, declared.revision)
        )));
    };
    open(state, file, declared, rendezvous).map_err(LoadError::Refused)
}
