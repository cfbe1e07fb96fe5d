//! A [`Document`] as GitHub Markdown.

use super::document::{Align, Cell, Document, Grid};

/// The whole document, with a newline at its end.
///
/// # Examples
/// ```
/// use dubench::report::document::{Align, Cell, Document, Grid, Section};
/// let mut grid = Grid::with_columns(&[("Method", Align::Left), ("FID", Align::Right)]);
/// let dash = grid.missing("no dropout in this network");
/// grid.push(vec![Cell::new("MC-Dropout"), dash], false);
/// let section = Section { heading: "Measured".into(), grid, remarks: vec![] };
/// let text = dubench::report::markdown::write(&Document {
///     title: "Table 1".into(), lead: vec![], sections: vec![section],
/// });
/// assert!(text.contains("| MC-Dropout | –<sup>1</sup> |"));
/// assert!(text.contains("<sup>1</sup> no dropout in this network"));
/// ```
pub fn write(document: &Document) -> String {
    let mut blocks = vec![format!("# {}", escape(&document.title))];
    blocks.extend(document.lead.iter().map(|sentence| escape(sentence)));
    for section in &document.sections {
        blocks.push(format!("## {}", escape(&section.heading)));
        blocks.push(table(&section.grid));
        if !section.grid.notes.is_empty() {
            blocks.push(footnotes(&section.grid.notes));
        }
        if !section.remarks.is_empty() {
            let lines: Vec<String> =
                section.remarks.iter().map(|remark| format!("- {}", escape(remark))).collect();
            blocks.push(lines.join("\n"));
        }
    }
    blocks.join("\n\n") + "\n"
}

/// One table, without its footnotes.
pub fn table(grid: &Grid) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![
        line(grid.columns.iter().map(|column| escape(&column.heading)).collect()),
        line(
            grid.columns
                .iter()
                .map(|column| match column.align {
                    Align::Left | Align::Wrapped => "---".to_owned(),
                    Align::Right => "---:".to_owned(),
                })
                .collect(),
        ),
    ];
    lines.extend(grid.rows.iter().map(|row| line(row.cells.iter().map(cell).collect())));
    lines.join("\n")
}

fn cell(cell: &Cell) -> String {
    match cell.note {
        Some(note) => format!("{}<sup>{}</sup>", escape(&cell.text), note + 1),
        None => escape(&cell.text),
    }
}

fn footnotes(notes: &[String]) -> String {
    let lines: Vec<String> = notes
        .iter()
        .enumerate()
        .map(|(at, note)| format!("<sup>{}</sup> {}", at + 1, escape(note)))
        .collect();
    lines.join("<br>\n")
}

/// Escapes what Markdown would read as markup. Names in backticks stay as they are.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '`' => {
                in_code = !in_code;
                out.push(c);
            }
            '\n' => out.push(' '),
            '|' => out.push_str("\\|"),
            '*' | '_' | '[' | ']' | '<' | '>' | '#' | '\\' if !in_code => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_shown_as_text() {
        assert_eq!(escape("p < 0.05 gives *"), "p \\< 0.05 gives \\*");
        assert_eq!(escape("a|b"), "a\\|b");
        assert_eq!(escape("`sample_var` and sample_var"), "`sample_var` and sample\\_var");
    }
}
