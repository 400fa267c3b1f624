//! The fenced blocks of a document, with the comments directly above them.

use std::fs;
use std::path::Path;

use compat_tests::artefacts::workspace;

/// One fenced block.
pub(crate) struct Block {
    pub(crate) document: String,
    line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    /// `<!-- test: NAME -->`
    pub(crate) test: Option<String>,
    /// `<!-- prints: one | two -->`, as lines
    pub(crate) prints: Option<String>,
    /// `<!-- part of: HOST -->`
    pub(crate) host: Option<String>,
    /// `<!-- in: NAME -->`, the library in whose folder the commands run
    pub(crate) library: Option<String>,
    /// `<!-- installed -->`
    pub(crate) is_installed: bool,
    /// The name of the file that the block shows as a whole.
    pub(crate) file: Option<String>,
    /// `<!-- part -->`, or pasted from a run, so that it differs each time.
    pub(crate) is_part: bool,
}

impl Block {
    /// The name of its test: document, line and language.
    pub(crate) fn name(&self) -> String {
        format!("{}:{} {}", self.document, self.line, self.language)
    }
}

/// The value of a comment line `<!-- key: value -->`.
fn comment<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let inside = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
    inside.strip_prefix(key)?.strip_prefix(':').map(str::trim)
}

/// How mdBook includes a file.
const INCLUDE: &str = "{{#include ";

/// A line of a block, or what it stands for.
///
/// # Panics
/// The file, or the part of it, is not there.
fn included(line: &str, page: &Path) -> String {
    let Some(wanted) = line.strip_prefix(INCLUDE) else { return line.to_owned() + "\n" };
    let (file, anchor) =
        wanted.trim_end_matches("}}").split_once(':').unwrap_or((wanted.trim_end_matches("}}"), ""));
    let path = page.with_file_name(file);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {line}: {error}", page.display()));
    if anchor.is_empty() {
        return text;
    }
    let mark = |word| move |line: &&str| line.contains(&format!("{word}: {anchor}"));
    assert!(
        text.lines().any(|line| mark("ANCHOR")(&line)),
        "{}: {line}: there is no such anchor",
        page.display()
    );
    let part = text.lines().skip_while(|line| !mark("ANCHOR")(line)).skip(1);
    part.take_while(|line| !mark("ANCHOR_END")(line)).map(|line| line.to_owned() + "\n").collect()
}

/// All blocks of `document`.
pub(crate) fn of(document: &str) -> Vec<Block> {
    let path = workspace().join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let lines: Vec<&str> = text.lines().collect();
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let Some(language) = lines[at].trim_start().strip_prefix("```") else {
            at += 1;
            continue;
        };
        let length = lines[at + 1..].iter().position(|line| line.trim_start().starts_with("```"));
        let length = length.unwrap_or_else(|| panic!("{document}:{}: the block has no end", at + 1));
        // The comments directly above.
        let above: Vec<&str> =
            lines[..at].iter().rev().take_while(|line| line.starts_with("<!--")).copied().collect();
        let find = |key| above.iter().find_map(|line| comment(line, key));
        // The name of an included file, if the block is that file.
        let file = (length == 1).then(|| lines[at + 1].strip_prefix(INCLUDE)).flatten();
        let file = file.and_then(|file| file.trim_end_matches("}}").rsplit('/').next()).map(str::to_owned);
        blocks.push(Block {
            document: document.to_owned(),
            line: at + 1,
            language: language.trim().to_owned(),
            text: lines[at + 1..at + 1 + length].iter().map(|line| included(line, &path)).collect(),
            test: find("test").map(str::to_owned),
            prints: find("prints").map(|prints| prints.replace(" | ", "\n")),
            host: find("part of").map(str::to_owned),
            library: find("in").map(str::to_owned),
            is_installed: above.contains(&"<!-- installed -->"),
            is_part: above.contains(&"<!-- demo output -->")
                || above.contains(&"<!-- part -->")
                || file.is_some(),
            file,
        });
        at += length + 2;
    }
    blocks
}
