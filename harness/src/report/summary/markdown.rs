//! The page for GitHub and editors.

use super::{Line, Summary};
use crate::report::document::{Align, Cell, Document, Grid, Section};
use crate::report::markdown;

/// `summary.md`.
pub(super) fn page(summary: &Summary, up: &str) -> String {
    let groups = summary.groups();
    let claims = groups.iter().map(|(name, lines)| section(name, lines));
    let changed = summary.before.iter().map(|before| before.section(summary));
    let sections = claims.chain(changed).collect();
    let document = Document { title: title(summary), lead: summary.lead(), sections };
    let mut text = markdown::write(&document);
    text.push_str("\n## Results\n\n");
    for result in &summary.results {
        let folder = format!("{up}{}/{}", result.name, summary.scale);
        let file = if result.has_table { "/table.md" } else { "" };
        let of =
            result.revision.as_ref().map_or(String::new(), |name| format!(", revision `{name}`"));
        text.push_str(&format!("- [{}]({folder}{file}){of}\n", result.name));
    }
    let html = format!("{}.html", summary.stem());
    text.push_str(&format!(
        "\nThe same page with tables that sort, and with the plots: [{html}]({html}).\n"
    ));
    text
}

/// Title of the page.
pub(super) fn title(summary: &Summary) -> String {
    format!("Claims of {}, scale {}", summary.paper, summary.scale)
}

fn section(name: &str, lines: &[&Line]) -> Section {
    let mut grid = Grid::with_columns(&[
        ("Source", Align::Left),
        ("Claim", Align::Wrapped),
        ("Published for", Align::Left),
        ("Published", Align::Right),
        ("Ours ± SE", Align::Right),
        ("n", Align::Right),
        ("p, adjusted", Align::Right),
        ("Verdict", Align::Left),
        ("What is measured", Align::Wrapped),
    ]);
    for line in lines {
        let verdict = line.verdict.label().to_owned();
        let note = (!line.why.is_empty()).then(|| grid.note(&line.why.join("; ")));
        let experiment = line.experiment.as_ref().map(|name| format!("`{name}`: {}", line.what));
        let cells = vec![
            Cell::new(&line.source),
            Cell::new(&line.says),
            Cell::new(&line.setting),
            Cell::new(&line.quoted.text),
            Cell::new(line.value()),
            Cell::new(line.n()),
            Cell::new(line.p()),
            Cell { text: verdict, note },
            Cell::new(experiment.unwrap_or_default()),
        ];
        grid.push(cells, false);
    }
    Section { heading: name.to_owned(), grid: grid.without_empty_columns(), remarks: Vec::new() }
}
