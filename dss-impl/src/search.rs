//! Finds a library's file by its name, as Lua does: with a path of templates.

use std::env::consts::DLL_PREFIX;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{MAIN_SEPARATOR_STR, Path, PathBuf};

/// The most bytes that a library's name may have.
pub const LONGEST_NAME: usize = 63;

/// Why a text is not a valid library name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// It is empty.
    Empty,
    /// It has more than [`LONGEST_NAME`] bytes.
    TooLong,
    /// It begins with a dot.
    LeadingDot {
        /// The text.
        name: String,
    },
    /// It has a folder separator, and is not an absolute path.
    Relative {
        /// The text.
        name: String,
    },
    /// It has a character that is not allowed in names.
    Character {
        /// The text.
        name: String,
        /// The first such character.
        found: char,
    },
}

impl BadName {
    /// What is wrong, without the name.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Empty => "a name must have at least one character".to_owned(),
            Self::TooLong => format!("a name may have at most {LONGEST_NAME} bytes"),
            Self::LeadingDot { .. } => "a name must not begin with a dot".to_owned(),
            Self::Relative { .. } => {
                "relative paths are not supported: use the name alone, or an absolute path".to_owned()
            }
            Self::Character { found, .. } => {
                format!("a name may contain only letters, digits, `_`, `-` and `.`, not {found:?}")
            }
        }
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a library's name is empty")?,
            // The text may be very long, so it is not repeated.
            Self::TooLong => f.write_str("a library's name is too long")?,
            Self::LeadingDot { name } | Self::Relative { name } | Self::Character { name, .. } => {
                write!(f, "{name:?} is not a valid library name")?;
            }
        }
        write!(f, ": {}", self.reason())
    }
}

impl Error for BadName {}

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotFound {
    /// The name is not a valid library name.
    Name(BadName),
    /// None of the files exists.
    Nowhere {
        /// The library's name, or the absolute path.
        name: String,
        /// Every file that was tried, in order.
        tried: Vec<Tried>,
    },
}

/// A file that was tried and does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The file.
    pub file: PathBuf,
    /// What explains why it was not found.
    pub instead: Option<Instead>,
}

/// What explains why a file was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instead {
    /// It is a link to a file that does not exist.
    Link(Dangling),
    /// It is a folder.
    Folder,
    /// Next to it is the file of the library `libNAME`, which is how a linker names the file of NAME.
    Prefixed {
        /// That file.
        file: PathBuf,
        /// The template that would find it as the file of NAME; None if NAME contains folders.
        template: Option<String>,
    },
}

/// The target of a link that leads to no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// The missing file, at the end of all links; None if the links lead back to themselves.
    pub target: Option<PathBuf>,
}

impl fmt::Display for Dangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Some(target) => write!(f, "is a link to '{}', which does not exist", target.display()),
            None => f.write_str("is a link that leads back to itself"),
        }
    }
}

impl Tried {
    /// A file that [`is_there`] did not find. `made_of` is the template it was made from, and the library's name.
    fn new(file: PathBuf, made_of: Option<(&str, &str)>) -> Self {
        let instead = if let Some(link) = dangling(&file) {
            Some(Instead::Link(link))
        } else if file.is_dir() {
            Some(Instead::Folder)
        } else {
            made_of.and_then(|(template, name)| prefixed(&file, template, name))
        };
        Self { file, instead }
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no file '{}'", self.file.display())?;
        match &self.instead {
            None => Ok(()),
            Some(Instead::Link(link)) => write!(f, ": it {link}"),
            Some(Instead::Folder) => f.write_str(": it is a folder"),
            Some(Instead::Prefixed { file, .. }) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                write!(f, ": there is '{name}', but DSS does not put '{DLL_PREFIX}' before a name")
            }
        }
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(bad) => bad.fmt(f),
            Self::Nowhere { name, tried } => {
                write!(f, "library '{name}' not found:")?;
                if tried.is_empty() {
                    f.write_str("\n\tthe search path is empty")?;
                }
                tried.iter().try_for_each(|tried| write!(f, "\n\t{tried}"))
            }
        }
    }
}

impl Error for NotFound {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Name(bad) => Some(bad),
            Self::Nowhere { .. } => None,
        }
    }
}

/// Whether `name` is a valid library name: letters, digits, `_`, `-` and `.`, not beginning with a dot. [any-thread]
///
/// # Errors
/// The first thing that is wrong.
pub fn check_name(name: &str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > LONGEST_NAME {
        return Err(BadName::TooLong);
    }
    if name.contains(['/', '\\']) {
        return Err(BadName::Relative { name: name.to_owned() });
    }
    let bad = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
    if let Some(found) = bad {
        return Err(BadName::Character { name: name.to_owned(), found });
    }
    if name.starts_with('.') {
        return Err(BadName::LeadingDot { name: name.to_owned() });
    }
    Ok(())
}

/// The path of templates that the user set. The first `;;` in it stands for `default`, as in Lua's own variables.
/// If nothing is set, it is `default`. [any-thread]
///
/// ```
/// use dss_impl::search::templates;
///
/// assert_eq!(templates(None, "/usr/lib/lua/5.4/?.so"), "/usr/lib/lua/5.4/?.so");
/// assert_eq!(templates(Some("/opt/?.so;;"), "/usr/lib/lua/5.4/?.so"), "/opt/?.so;/usr/lib/lua/5.4/?.so");
/// ```
#[must_use]
pub fn templates(set: Option<&str>, default: &str) -> String {
    let Some(set) = set else {
        return default.to_owned();
    };
    let Some((before, after)) = set.split_once(";;") else {
        return set.to_owned();
    };
    [before, default, after].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(";")
}

/// Finds the file of the library `name`: the first of `templates` that exists. They are separated by `;`. The name
/// replaces each `?`, with its dots as folder separators. If `name` is an absolute path, that file is
/// used. The result is absolute, because the system's loader would look elsewhere for a file without a
/// folder. [any-thread] `[blocks]` on the file system.
///
/// # Errors
/// [`NotFound`]: the name is invalid, or none of the files exists.
pub fn find(name: &str, templates: &str) -> Result<PathBuf, NotFound> {
    if is_absolute(name) {
        let file = PathBuf::from(name);
        // A folder too: reading it gives the right error.
        return if file.is_dir() || is_there(&file) {
            Ok(file)
        } else {
            Err(NotFound::Nowhere { name: name.to_owned(), tried: vec![Tried::new(file, None)] })
        };
    }
    check_name(name).map_err(NotFound::Name)?;
    let part = name.replace('.', MAIN_SEPARATOR_STR);
    let given = || templates.split(';').filter(|template| !template.is_empty());
    let filled = |template: &str| PathBuf::from(template.replace('?', &part));
    if let Some(file) = given().map(filled).find(|file| is_there(file)) {
        return Ok(std::path::absolute(&file).unwrap_or(file));
    }
    let tried = given().map(|template| Tried::new(filled(template), Some((template, name)))).collect();
    Err(NotFound::Nowhere { name: name.to_owned(), tried })
}

/// The file of the library `name` for a template such as `?.so`, with the extension `ending`: `net/http.so`. [any-thread]
#[must_use]
pub fn file_of(name: &str, ending: &str) -> PathBuf {
    let name = name.replace('.', MAIN_SEPARATOR_STR);
    PathBuf::from(if ending.is_empty() { name } else { format!("{name}.{ending}") })
}

/// The target of the link `file`, if that does not exist. [any-thread] `[blocks]` on the file system.
#[must_use]
pub fn dangling(file: &Path) -> Option<Dangling> {
    if !file.is_symlink() || file.metadata().err()?.kind() == io::ErrorKind::PermissionDenied {
        return None;
    }
    let mut at = file.to_owned();
    // Linux follows as many. A longer chain leads back to itself, or is treated as if it did.
    for _ in 0..40 {
        let Ok(target) = at.read_link() else { return Some(Dangling { target: Some(at) }) };
        // A relative target is relative to the link's own folder.
        at = at.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    Some(Dangling { target: None })
}

/// The file next to `file` whose name has the linker's prefix, if there is one.
fn prefixed(file: &Path, template: &str, name: &str) -> Option<Instead> {
    // Only if the file name begins with the library's name.
    if DLL_PREFIX.is_empty() || !Path::new(template).file_name()?.to_str()?.starts_with('?') {
        return None;
    }
    let beside =
        |file: &Path| Some(file.with_file_name(format!("{DLL_PREFIX}{}", file.file_name()?.to_str()?)));
    let there = beside(file).filter(|file| is_there(file))?;
    let template = beside(Path::new(template)).filter(|_| !name.contains('.'));
    Some(Instead::Prefixed { file: there, template: template.map(|it| it.to_string_lossy().into_owned()) })
}

fn is_absolute(name: &str) -> bool {
    name.starts_with('/') || Path::new(name).is_absolute()
}

/// Whether the file exists, or may not be examined: such a file is refused later, with the system's own reason. A folder does not
/// count, so it may have a library's name without being in its way.
fn is_there(file: &Path) -> bool {
    match file.metadata() {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}
