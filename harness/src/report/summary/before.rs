//! The verdicts beside those of other results: of the same claims, on another network or at another time.

use super::{Line, Summary};
use crate::report::document::{Align, Cell, Grid, Section};

/// What stands in the column of changes.
const CHANGED: &str = "changed";

/// Lines of the same claims, from other results.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// What they are called: the folder of the results.
    pub name: String,
    /// One for each line of the page, in its order.
    pub lines: Vec<Line>,
}

/// A claim that was tested then or now.
pub(super) struct Change<'a> {
    pub(super) before: &'a Line,
    pub(super) now: &'a Line,
}

impl Change<'_> {
    /// Empty where the verdict is the same, and where one of the results does not test the claim.
    pub(super) fn mark(&self) -> &'static str {
        let other = self.before.verdict != self.now.verdict;
        if self.is_tested_twice() && other { CHANGED } else { "" }
    }

    fn is_tested_twice(&self) -> bool {
        self.before.verdict.is_tested() && self.now.verdict.is_tested()
    }
}

impl Before {
    /// Claims with a number, then or now.
    pub(super) fn changes<'a>(&'a self, summary: &'a Summary) -> Vec<Change<'a>> {
        let pairs = self.lines.iter().zip(&summary.lines);
        let pairs = pairs.map(|(before, now)| Change { before, now });
        pairs.filter(|one| one.before.verdict.is_tested() || one.now.verdict.is_tested()).collect()
    }

    /// Heading of the table.
    pub(super) fn heading(&self) -> String {
        format!("What changed since {}", self.name)
    }

    /// What a reader has to know of the table.
    pub(super) fn remark(&self, changes: &[Change<'_>]) -> String {
        let n = changes.iter().filter(|one| !one.mark().is_empty()).count();
        format!(
            "{n} of {} verdicts are others than those of `{}`, results of the same claims. Whether two numbers differ is not tested: \
             a verdict at the edge of the noise changes by chance.",
            changes.iter().filter(|one| one.is_tested_twice()).count(),
            self.name
        )
    }

    /// The table for GitHub and editors.
    pub(super) fn section(&self, summary: &Summary) -> Section {
        let changes = self.changes(summary);
        let mut grid = Grid::with_columns(&COLUMNS);
        for change in &changes {
            grid.push(cells(change).map(Cell::new).into(), false);
        }
        Section { heading: self.heading(), grid, remarks: vec![self.remark(&changes)] }
    }
}

/// Columns of the table, here and in the browser.
pub(super) const COLUMNS: [(&str, Align); 9] = [
    ("Source", Align::Left),
    ("Claim", Align::Wrapped),
    ("Published for", Align::Left),
    ("Before ± SE", Align::Right),
    ("n", Align::Right),
    ("Now ± SE", Align::Right),
    ("n now", Align::Right),
    ("Verdict before and now", Align::Left),
    ("Changed", Align::Left),
];

/// One row.
pub(super) fn cells(change: &Change<'_>) -> [String; 9] {
    let Change { before, now } = change;
    let verdicts = format!("{} → {}", before.verdict.label(), now.verdict.label());
    [
        now.source.clone(),
        now.says.clone(),
        now.setting.clone(),
        before.value(),
        before.n(),
        now.value(),
        now.n(),
        if change.mark().is_empty() { now.verdict.label().to_owned() } else { verdicts },
        change.mark().to_owned(),
    ]
}
