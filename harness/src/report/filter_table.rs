//! The layout of Table 1: one row a method and direction, every number with its error bar.

use std::collections::BTreeSet;

use super::document::{Align, Cell, Grid, Section};
use super::published::for_dataset;
use super::{label, metric, number};
use crate::config::published::{PublishedSetting, PublishedTable};
use crate::store::records::MetricRow;

/// Metrics that have a column.
const COLUMNS: [&str; 4] = [metric::FID, metric::FID_INF, metric::DELTA_RANDOM, metric::P_VALUE];

const NOTE_STARS: &str = "Δ is FID minus the mean FID of random subsets of the same size and pool, ± their standard \
     deviation. p: how often a random subset lies as far from that mean, to either side. * p < 0.05, ** p < 0.01, *** \
     p < 0.001; n.s.: inside the noise of random subsets. p speaks of this pool and is not corrected for the number of \
     rows; whether a new pool would show the same is told by the SE.";
const NOTE_NFE: &str = "NFE: network evaluations per image, those of the trajectory + those that the estimator would \
     ask for if it ran alone. Seconds: network time of the method over all images.";
const NOTE_FID_INF: &str = "FID∞ is FID with the estimated bias of a finite number of images removed: compare it, not FID, between \
     sets of different n.";

/// Whether this table tells the number: in a column, or as the difference or error bar of one.
pub fn tells(name: &str) -> bool {
    COLUMNS.contains(&name) || name == metric::FID_BIAS || name == metric::FID_SD
}

/// One model, data set and sampler: what one table is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// Bundle name.
    pub model: String,
    /// Data set of the reference.
    pub dataset: String,
    /// Sampler with its steps.
    pub sampler: String,
}

impl Setting {
    /// The setting that a row belongs to.
    pub fn of(row: &MetricRow) -> Self {
        Self {
            model: row.model.clone(),
            dataset: row.dataset.clone(),
            sampler: row.sampler.clone(),
        }
    }

    /// All settings of a result, in order of first appearance.
    pub fn all(rows: &[MetricRow]) -> Vec<Self> {
        let mut seen = BTreeSet::new();
        rows.iter().map(Self::of).filter(|setting| seen.insert(setting.clone())).collect()
    }
}

/// A row of the table: a method and the part that it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    method: &'a str,
    direction: Option<&'a str>,
}

/// The table of one setting; `None` where no row has a metric that belongs here.
pub fn section(
    setting: &Setting,
    rows: &[MetricRow],
    published: Option<&PublishedTable>,
) -> Option<Section> {
    let here: Vec<&MetricRow> = rows
        .iter()
        .filter(|row| Setting::of(row) == *setting && COLUMNS.contains(&row.metric.as_str()))
        .collect();
    if here.is_empty() {
        return None;
    }
    let table = FilterTable { rows: here, setting, published };
    Some(Section {
        heading: format!(
            "Measured: `{}` on {}, sampler `{}`",
            setting.model, setting.dataset, setting.sampler
        ),
        grid: table.grid(),
        remarks: table.remarks(),
    })
}

struct FilterTable<'a> {
    rows: Vec<&'a MetricRow>,
    setting: &'a Setting,
    published: Option<&'a PublishedTable>,
}

impl<'a> FilterTable<'a> {
    fn grid(&self) -> Grid {
        let mut grid = Grid::with_columns(&[
            ("Method", Align::Left),
            ("Kept", Align::Left),
            ("FID ± SE", Align::Right),
            ("FID∞ ± SE", Align::Right),
            ("Δ random ± sd", Align::Right),
            ("p", Align::Right),
            ("Verdict", Align::Left),
            ("n", Align::Right),
            ("NFE", Align::Right),
            ("Seconds", Align::Right),
            (&self.paper_heading(), Align::Right),
        ]);
        let mut group = label::Group::Baseline;
        for line in self.lines() {
            let next = label::group(line.method);
            let cells = self.cells(line, &mut grid);
            grid.push(cells, next != group);
            group = next;
        }
        grid.without_empty_columns()
    }

    fn paper_setting(&self) -> Option<&'a PublishedSetting> {
        for_dataset(self.published?, &self.setting.dataset)
    }

    /// The paper's network stands in the heading: it is not the network of the other columns.
    fn paper_heading(&self) -> String {
        match self.paper_setting() {
            Some(setting) => format!("Paper ({})", setting.network),
            None => "Paper".to_owned(),
        }
    }

    fn lines(&self) -> Vec<Line<'a>> {
        let mut lines: Vec<Line<'a>> = Vec::new();
        for row in &self.rows {
            let line = Line { method: &row.method, direction: row.direction.as_deref() };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        // The sort is stable: within a group the methods keep the order of the plan.
        let first: Vec<&str> = lines.iter().map(|line| line.method).collect();
        lines.sort_by_key(|line| {
            let place = first.iter().position(|method| *method == line.method);
            (label::group(line.method), place, line.direction != Some("keep_lowest"))
        });
        lines
    }

    fn find(&self, line: Line<'_>, metric: &str) -> Option<&'a MetricRow> {
        self.rows.iter().copied().find(|row| {
            row.metric == metric
                && row.method == line.method
                && row.direction.as_deref() == line.direction
        })
    }

    fn cells(&self, line: Line<'_>, grid: &mut Grid) -> Vec<Cell> {
        let fid = self.find(line, metric::FID);
        let any = fid.or_else(|| {
            self.rows
                .iter()
                .copied()
                .find(|row| row.method == line.method && row.direction.as_deref() == line.direction)
        });
        vec![
            Cell::new(label::method(line.method)),
            Cell::new(label::kept(line.direction)),
            estimate(fid, grid),
            estimate(self.find(line, metric::FID_INF), grid),
            self.delta(line, fid, grid),
            self.p_cell(line, grid),
            self.verdict(line, fid),
            Cell::new(any.and_then(|row| row.n).map(number::count).unwrap_or_default()),
            Cell::new(any.map(nfe).unwrap_or_default()),
            Cell::new(
                any.and_then(|row| row.seconds)
                    .and_then(|seconds| number::significant(seconds, 3))
                    .unwrap_or_default(),
            ),
            self.paper(line, fid, grid),
        ]
    }

    /// Difference to the random mean: the measured row where there is one, else the plain difference.
    fn delta(&self, line: Line<'_>, fid: Option<&MetricRow>, grid: &mut Grid) -> Cell {
        if let Some(row) = self.find(line, metric::DELTA_RANDOM) {
            return match row.value.and_then(|value| number::signed_with_error(value, row.se)) {
                Some(text) => with_reason(text, row, grid),
                None => grid.missing(why(row)),
            };
        }
        let random = Line { method: "random", direction: None };
        let mean = self
            .find(random, metric::FID)
            .or_else(|| self.rows.iter().copied().find(|row| row.method == "random"))
            .filter(|row| row.metric == metric::FID)
            .and_then(|row| row.value);
        let (Some(value), Some(mean)) = (fid.and_then(|row| row.value), mean) else {
            return Cell::default();
        };
        if label::group(line.method) == label::Group::Baseline {
            return Cell::default();
        }
        let se = fid.and_then(|row| row.se);
        let text = number::signed_with_error(value - mean, se)
            .map(|text| text.split(" ± ").next().unwrap_or_default().to_owned());
        Cell::new(text.unwrap_or_default())
    }

    fn p_cell(&self, line: Line<'_>, grid: &mut Grid) -> Cell {
        let Some(row) = self.find(line, metric::P_VALUE) else { return Cell::default() };
        match row.value.and_then(number::p_value) {
            // Its remark is the same in all rows and stands below the table.
            Some(text) => Cell::new(text),
            None => grid.missing(why(row)),
        }
    }

    fn verdict(&self, line: Line<'_>, fid: Option<&MetricRow>) -> Cell {
        let p_row = self.find(line, metric::P_VALUE);
        let p = p_row.and_then(|row| row.value).filter(|p| p.is_finite());
        let stars = p.map_or("", |p| number::stars(p));
        let given = [fid, p_row, self.find(line, metric::DELTA_RANDOM)]
            .into_iter()
            .flatten()
            .find_map(|row| row.verdict.as_deref());
        let word = given.unwrap_or("");
        let starred = matches!(word, "better" | "worse") && !stars.is_empty();
        Cell::new(if starred { format!("{word} {stars}") } else { word.to_owned() })
    }

    /// The published number of the row, else of the table of published numbers, whose dash has a reason.
    fn paper(&self, line: Line<'_>, fid: Option<&MetricRow>, grid: &mut Grid) -> Cell {
        if let Some(text) = fid.and_then(|row| row.paper_value).and_then(number::exact) {
            return Cell::new(text);
        }
        let dash = self
            .paper_setting()
            .and_then(|setting| setting.values.get(metric::FID))
            .and_then(|by_method| by_method.get(line.method))
            .is_some_and(Option::is_none);
        let lowest = line.direction.is_none_or(|direction| direction == "keep_lowest");
        if dash && lowest {
            return grid.missing("a dash in the paper, without a reason");
        }
        Cell::default()
    }

    fn remarks(&self) -> Vec<String> {
        let mut out = vec![NOTE_STARS.to_owned()];
        let of_p = |row: &&&MetricRow| row.metric == metric::P_VALUE && row.value.is_some();
        let tests: BTreeSet<&str> =
            self.rows.iter().filter(of_p).filter_map(|row| row.reason.as_deref()).collect();
        out.extend(tests.into_iter().map(|test| format!("p is {test}.")));
        if self.rows.iter().any(|row| row.metric == metric::FID_INF) {
            out.push(NOTE_FID_INF.to_owned());
        }
        if self.rows.iter().any(|row| row.nfe_trajectory.is_some()) {
            out.push(NOTE_NFE.to_owned());
        }
        let references: BTreeSet<u64> =
            self.rows.iter().filter_map(|row| row.n_reference).collect();
        if !references.is_empty() {
            let counts: Vec<String> = references.iter().map(|n| number::count(*n)).collect();
            out.push(format!(
                "Reference: {} images of {}.",
                counts.join(" or "),
                self.setting.dataset
            ));
        }
        if let Some(setting) = self.paper_setting() {
            out.push(format!(
                "The last column is another network, pool and reference: {}. It stands here for orientation, not for \
                 subtraction.",
                setting.network
            ));
        }
        out
    }
}

/// A value with its error, or a dash with its reason; empty where there is no row.
pub fn estimate(row: Option<&MetricRow>, grid: &mut Grid) -> Cell {
    let Some(row) = row else { return Cell::default() };
    match row.value.and_then(|value| number::with_error(value, row.se)) {
        Some(text) => with_reason(text, row, grid),
        None => grid.missing(why(row)),
    }
}

fn with_reason(text: String, row: &MetricRow, grid: &mut Grid) -> Cell {
    let note = row.reason.as_deref().map(|reason| grid.note(reason));
    Cell { text, note }
}

/// Why a row has no number.
pub fn why(row: &MetricRow) -> &str {
    match (&row.reason, row.value) {
        (Some(reason), _) => reason,
        (None, Some(_)) => "the value is not a finite number",
        (None, None) => "not measured; the result gives no reason",
    }
}

/// `50 + 20`, and `+ 8 reverse` where there are reverse passes.
pub(super) fn nfe(row: &MetricRow) -> String {
    let Some(trajectory) = row.nfe_trajectory else { return String::new() };
    let mut text = number::count(trajectory);
    if let Some(estimator) = row.nfe_estimator.filter(|n| *n > 0) {
        text.push_str(" + ");
        text.push_str(&number::count(estimator));
    }
    if let Some(gradient) = row.nfe_gradient.filter(|n| *n > 0) {
        text.push_str(" + ");
        text.push_str(&number::count(gradient));
        text.push_str(" reverse");
    }
    text
}
