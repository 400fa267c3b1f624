//! The links in the documents.

use std::fs;

use compat_tests::artefacts::workspace;

const REPOSITORY: &str = "https://github.com/Tieske/DarkSideSync";

/// Checks the links of `document` that lead into the tree.
///
/// # Panics
/// A link leads nowhere.
pub(crate) fn check(document: &str) {
    let path = workspace().join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
    for link in links {
        // Pages of the book refer to other files of the tree by where the repository shows them.
        let shown =
            ["blob", "tree"].iter().find_map(|kind| link.strip_prefix(&format!("{REPOSITORY}/{kind}/HEAD/")));
        let link = match shown {
            Some(file) => workspace().join(file).display().to_string(),
            None if link.contains("://") => continue,
            None => link.to_owned(),
        };
        let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
        let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
        assert!(target.exists(), "{document} links to {link}, which is not there");
        if !heading.is_empty() {
            let there = fs::read_to_string(&target).expect("headings are in texts");
            assert!(headings(&there).any(|found| found == heading), "{document}: {link} is no heading");
        }
    }
}

/// The headings of a document, in the form that links use.
fn headings(text: &str) -> impl Iterator<Item = String> + '_ {
    let titles =
        text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    titles.map(move |title| title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
}
