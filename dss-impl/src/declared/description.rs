//! What a library says of its functions, methods and classes, for tools. DSS itself does not use it.
//!
//! The section contains texts that end with a NUL, and further NULs between them. Each is a name, a signature and a text, on separate lines:
//! `Timer:stop`, `fun()`, `Stops the timer.` Nothing depends on them, so anything in another form is skipped.

/// The description of one function, method or class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name in Lua. For a method, the name includes its class: `Timer:stop`.
    pub name: String,
    /// Its type, in the notation of the Lua language server.
    pub signature: String,
    /// What it does.
    pub text: String,
}

/// How many descriptions of one file are read. A file may have any number of them.
const MOST: usize = 4096;

/// The descriptions in a section.
pub(super) fn parse(section: &[u8]) -> Vec<Description> {
    let texts = section.split(|byte| *byte == 0).filter(|text| !text.is_empty());
    let mut all: Vec<_> = texts.filter_map(one).take(MOST).collect();
    // In the file they are in the order that the compiler chose.
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

fn one(bytes: &[u8]) -> Option<Description> {
    let text = std::str::from_utf8(bytes).ok()?;
    // The text will be shown in a terminal.
    if text.chars().any(|it| it.is_control() && it != '\n') {
        return None;
    }
    let mut lines = text.splitn(3, '\n');
    let (name, signature) = (lines.next()?, lines.next()?);
    let text = lines.next().unwrap_or_default();
    Some(Description { name: name.to_owned(), signature: signature.to_owned(), text: text.to_owned() })
}
