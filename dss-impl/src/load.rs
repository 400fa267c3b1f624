//! Loading a library that declares itself: from its name to a module that Lua can call.
//!
//! What does not fit is refused by what its file says, before any of its code runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use semver::VersionReq;

use crate::declared::{self, Declared, Offering};
use crate::rendezvous::REVISIONS;
use crate::search::{self, Instead, NotFound, Tried};
use crate::states::StateRef;
use crate::value::Module;

/// How a revision opens a library of its own in a Lua state: maps its file, and has it register. [lua-thread]
pub type OpenFn = fn(state: StateRef, file: &Path, declared: &Declared) -> Result<Arc<dyn Module>, String>;

/// Why a library was not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// There is no file of that name; the text lists those that were tried, a line each.
    NotFound(String),
    /// There is one, and it cannot be loaded: a sentence.
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

/// The file of `name`, or of an absolute path, and what it declares, if that fits this DSS and the version requirement
/// `wanted`. Runs none of its code. [any-thread]
///
/// # Errors
/// [`LoadError`]
pub fn look_up(name: &str, templates: &str, wanted: Option<&str>) -> Result<(PathBuf, Declared), LoadError> {
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
            "{} was found for {name}, and declares itself as {}: rename the file to {}, and load {}",
            file.display(),
            declared.name,
            called(&declared.name, &file),
            declared.name
        )));
    }
    declared::fits(&declared, &Offering::here(), wanted.as_ref())
        .map_err(|error| LoadError::Refused(error.to_string()))?;
    Ok((file, declared))
}

/// What the file of `name` is to be called where it has the ending of `file`.
fn called(name: &str, file: &Path) -> String {
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    search::file_of(name, &ending).display().to_string()
}

/// What to do where `name` was not found, and beside a file that was tried is the library, by another name.
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

/// Loads the library that [`look_up`] finds into a Lua state, where no library of its name is registered. [lua-thread]
///
/// # Errors
/// [`LoadError`]
pub fn load(
    state: StateRef,
    name: &str,
    templates: &str,
    wanted: Option<&str>,
) -> Result<Arc<dyn Module>, LoadError> {
    let (file, declared) = look_up(name, templates, wanted)?;
    let shown = file.display().to_string();
    let registered =
        state.dispatcher.libraries().map_err(|error| LoadError::Refused(error.to_string()))?.into_iter();
    let other =
        registered.filter(|library| library.name.as_deref() == Some(&declared.name)).find_map(|it| it.file);
    if let Some(other) = other {
        return Err(LoadError::Refused(if *other == *shown {
            format!(
                "{} is loaded in this Lua state from {other}, and that is another file by now: start a new process to load it",
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
    // What fits is of a revision that is offered.
    let open = REVISIONS.iter().find(|revision| revision.number == declared.revision).and_then(|it| it.open);
    let Some(open) = open else {
        return Err(LoadError::Refused(format!(
            "{} in {shown} is of revision v{}, whose libraries are Lua modules: use `require`",
            declared.name, declared.revision
        )));
    };
    open(state, &file, &declared).map_err(LoadError::Refused)
}
