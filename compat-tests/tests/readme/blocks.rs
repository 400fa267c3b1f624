//! The fenced blocks of a document, with the comments directly above them.

use std::fs;

use compat_tests::artefacts::workspace;

/// One fenced block.
pub(crate) struct Block {
    document: &'static str,
    line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    /// `<!-- test: NAME -->`
    pub(crate) test: Option<String>,
    /// `<!-- prints: one | two -->`, as lines
    pub(crate) prints: Option<String>,
    /// Whether it is pasted from a run, so that it differs each time.
    pub(crate) is_pasted: bool,
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

/// All blocks of `document`, which may be missing.
pub(crate) fn of(document: &'static str) -> Vec<Block> {
    let text = fs::read_to_string(workspace().join(document)).unwrap_or_default();
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
        blocks.push(Block {
            document,
            line: at + 1,
            language: language.trim().to_owned(),
            text: lines[at + 1..at + 1 + length].join("\n") + "\n",
            test: find("test").map(str::to_owned),
            prints: find("prints").map(|prints| prints.replace(" | ", "\n")),
            is_pasted: above.contains(&"<!-- demo output -->"),
        });
        at += length + 2;
    }
    blocks
}
