//! Text in columns.

/// Formats rows in columns. Each column is as wide as its widest text; the last one is not padded.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let texts = rows.iter().filter_map(|row| row.get(column));
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            line.push_str(text);
            line.extend(std::iter::repeat_n(' ', width - text.chars().count() + 2));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Formats a list of names and values below a title.
pub(crate) fn described(title: &str, rows: &[(&str, String)]) -> String {
    let rows: Vec<_> = rows.iter().map(|(name, text)| vec![format!("  {name}"), text.clone()]).collect();
    format!("{title}\n{}", columns(&rows))
}
