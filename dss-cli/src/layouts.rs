//! `dss layouts`: prints the frozen layouts as text, or how two of them differ.

use std::fmt::Write;
use std::fs;

use similar::{ChangeTag, TextDiff};

use crate::{BadUsage, Outcome};

/// The name of a revision, and a function that returns its layouts as text.
type Layouts = (&'static str, fn() -> String);

/// The revisions with Rust layouts. 1.0's interface is a C header.
const LAYOUTS: [Layouts; 2] = [("v1", dss_abi_v1::layout::dump), ("v2", dss_abi_v2::layout::dump)];

pub(crate) fn run(revision: Option<&str>, diff: &[String]) -> Result<Outcome, BadUsage> {
    if let [one, other] = diff {
        return Ok(compared(&text(one)?, &text(other)?));
    }
    let text = match revision {
        Some(name) => of(name).ok_or_else(|| unknown(name))?,
        None => LAYOUTS.map(|(_, dump)| dump()).join("\n"),
    };
    Ok(Outcome { text, well: true })
}

fn of(name: &str) -> Option<String> {
    LAYOUTS.iter().find(|(known, _)| *known == name).map(|(_, dump)| dump())
}

fn unknown(name: &str) -> BadUsage {
    let known = LAYOUTS.map(|(name, _)| name).join(", ");
    BadUsage(format!("there is no revision {name} with layouts: choose one of {known}"))
}

/// The layouts of a revision, or the content of a file.
fn text(given: &str) -> Result<String, BadUsage> {
    if let Some(text) = of(given) {
        return Ok(text);
    }
    fs::read_to_string(given).map_err(|error| {
        let BadUsage(unknown) = unknown(given);
        BadUsage(format!("{unknown}, or a file with layouts ({error})"))
    })
}

/// Compares two texts by line. Lines that only the first has get a minus, lines that only the second has get a plus, and the type
/// that they belong to is printed above. The result is empty if the texts are equal.
fn compared(one: &str, other: &str) -> Outcome {
    let diff = TextDiff::from_lines(one, other);
    let (mut text, mut title) = (String::new(), None);
    for change in diff.iter_all_changes() {
        let line = change.value().trim_end();
        match change.tag() {
            ChangeTag::Equal if !line.is_empty() && !line.starts_with(' ') => title = Some(line),
            ChangeTag::Equal => {}
            tag => {
                if let Some(title) = title.take() {
                    let _ = writeln!(text, "  {title}");
                }
                let mark = if tag == ChangeTag::Delete { '-' } else { '+' };
                let _ = writeln!(text, "{mark} {line}");
            }
        }
    }
    Outcome { well: text.is_empty(), text }
}
