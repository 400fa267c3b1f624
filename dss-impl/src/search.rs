//! From a library's name to its file, as Lua does it: by a path of templates.

use std::env::consts::DLL_PREFIX;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{MAIN_SEPARATOR_STR, Path, PathBuf};

/// How many bytes a library's name has at most.
pub const LONGEST_NAME: usize = 63;

/// Why a text is no library's name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadName {
    /// It has no characters.
    Empty,
    /// It has more than [`LONGEST_NAME`] bytes.
    TooLong,
    /// It begins with a dot.
    LeadingDot {
        /// The text.
        name: String,
    },
    /// It has a separator of folders, and is no absolute path.
    Relative {
        /// The text.
        name: String,
    },
    /// It has a character that names do not have.
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
            Self::Empty => "a name has at least one character".to_owned(),
            Self::TooLong => format!("a name has at most {LONGEST_NAME} bytes"),
            Self::LeadingDot { .. } => "a name does not begin with a dot".to_owned(),
            Self::Relative { .. } => {
                "a relative path is not looked up: give the name alone, or an absolute path".to_owned()
            }
            Self::Character { found, .. } => {
                format!("names are made of letters, digits, `_`, `-` and `.`, and of no {found:?}")
            }
        }
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a library's name is empty")?,
            // What may be a megabyte is not repeated.
            Self::TooLong => f.write_str("a library's name is too long")?,
            Self::LeadingDot { name } | Self::Relative { name } | Self::Character { name, .. } => {
                write!(f, "{name:?} is no library's name")?;
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
    /// What was to be found has no name that a library can have.
    Name(BadName),
    /// None of the files exists.
    Nowhere {
        /// The library's name, or the absolute path.
        name: String,
        /// Every file that was tried, in order.
        tried: Vec<Tried>,
    },
}

/// A file that was tried, and is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The file.
    pub file: PathBuf,
    /// What explains that it is not there.
    pub instead: Option<Instead>,
}

/// What explains that a file is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Instead {
    /// It is a link that leads nowhere.
    Link(Dangling),
    /// It is a folder.
    Folder,
    /// Beside it is the file of the library `libNAME`, as a linker calls the file of NAME.
    Prefixed {
        /// That file.
        file: PathBuf,
        /// What the template has to be for it to be the file of NAME; none where NAME has folders in it.
        template: Option<String>,
    },
}

/// Where a link leads that leads to no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// The file that is missing, at the end of all links; none where the links lead back to themselves.
    pub target: Option<PathBuf>,
}

impl fmt::Display for Dangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Some(target) => write!(f, "is a link, and there is no '{}'", target.display()),
            None => f.write_str("is a link that leads back to itself"),
        }
    }
}

impl Tried {
    /// A file that [`is_there`] found not to be; `template` is what it was made of, for a library of that name.
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
                write!(f, ": there is '{name}', and '{DLL_PREFIX}' is not put before a name")
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
                    f.write_str("\n\tthe path to search has no templates")?;
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

/// Whether `name` is one that a library can have: letters, digits, `_`, `-` and `.`, no dot in front. [any-thread]
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

/// The path of templates that a person set, in which the first `;;` stands for `default`, as in Lua's own variables;
/// the default alone, where nothing is set. [any-thread]
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

/// The file of the library `name`: the first of `templates` that is there. They are separated by `;`, and the name
/// takes the place of each `?`, with its dots as separators of folders. An absolute path in the place of a name is
/// taken as it is. What comes back is absolute, for a file without a folder would be looked for elsewhere by the
/// system's loader. [any-thread] `[blocks]` on the file system.
///
/// # Errors
/// [`NotFound`]: no library has such a name, or none of the files is there.
pub fn find(name: &str, templates: &str) -> Result<PathBuf, NotFound> {
    if is_absolute(name) {
        let file = PathBuf::from(name);
        // A folder too: reading it says what is wrong with that.
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

/// The file that the library `name` has by a template such as `?.so`, which has that ending: `net/http.so`. [any-thread]
#[must_use]
pub fn file_of(name: &str, ending: &str) -> PathBuf {
    let name = name.replace('.', MAIN_SEPARATOR_STR);
    PathBuf::from(if ending.is_empty() { name } else { format!("{name}.{ending}") })
}

/// Where the link `file` leads, if that is nowhere. [any-thread] `[blocks]` on the file system.
#[must_use]
pub fn dangling(file: &Path) -> Option<Dangling> {
    if !file.is_symlink() || file.metadata().err()?.kind() == io::ErrorKind::PermissionDenied {
        return None;
    }
    let mut at = file.to_owned();
    // As many as Linux follows. Longer ones lead back to themselves, or may as well.
    for _ in 0..40 {
        let Ok(target) = at.read_link() else { return Some(Dangling { target: Some(at) }) };
        // What is relative is so to the link's own folder.
        at = at.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    Some(Dangling { target: None })
}

/// The file beside `file` whose name begins as a linker begins it, if there is one.
fn prefixed(file: &Path, template: &str, name: &str) -> Option<Instead> {
    // Only where the name begins what the file is called.
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

/// Whether there is something to open, or to say more of than that it is not there: one that may not be looked at is
/// refused later, with the system's own reason. A folder may have a library's name and not be in its way.
fn is_there(file: &Path) -> bool {
    match file.metadata() {
        Ok(metadata) => !metadata.is_dir(),
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}
