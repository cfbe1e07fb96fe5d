//! The layout of Table 1: one row a method and direction, every number with its error bar.

use std::collections::BTreeSet;

use super::between;
use crate::config::published::{PublishedSetting, PublishedTable};
use crate::report::document::{Align, Cell, Grid, Section};
use crate::report::published::for_dataset;
use crate::report::{Labels, Setting, cells, label, metric, number};
use crate::store::records::MetricRow;

/// Metrics that have a column.
const COLUMNS: [&str; 11] = [
    metric::FID,
    metric::FID_INF,
    metric::DELTA,
    metric::DELTA_SE_POOLS,
    metric::DELTA_INF,
    metric::P_VALUE,
    metric::P_HOLM,
    metric::KID,
    metric::DELTA_KID,
    metric::P_KID,
    metric::P_KID_HOLM,
];

const NOTE_STARS: &str = "Δ is FID minus the mean FID of random subsets of the same size and pool, ± the standard deviation \
     of the subsets. p: how often a random subset lies as far from that mean, to either side; it speaks of this pool. \
     p (Holm) is p adjusted by Holm's method over all rows of this table that have one; verdicts and stars go by it. \
     * p < 0.05, ** p < 0.01, *** p < 0.001; n.s.: inside the noise of random subsets.";
const NOTE_FLOOR: &str = "≤ marks the floor of p, 1 / (1 + number of random subsets): none of them lies as far, and with this many \
     p cannot come out smaller. An adjusted p is bounded by a multiple of the floor.";
const NOTE_POOLS: &str = "SE, new pools: the standard error of Δ over new pools of this size, from the influence of each image on \
     the FID of what is kept and on that of the pool, the threshold held fixed. It, and not p, says whether another pool \
     would show the same. The ± of the FID of random subsets is the standard error of one of them over new pools, not the \
     spread of the subsets.";
const NOTE_KID: &str = "KID is the unbiased squared MMD with the kernel (x·y / d + 1)³ of all images of a set at once, to real \
     images; it has no bias of few images, which most of FID is where there are fewer images than features. ± is its standard \
     error over new images, the real ones held fixed; a value below zero is noise. Δ KID and p KID are against the random \
     subsets that Δ is against, ± their standard deviation; p KID (Holm) is adjusted over the same rows as p (Holm), a family \
     of its own. Verdicts go by FID.";
const NOTE_NFE: &str = "NFE: network evaluations per image, those of the trajectory + those that the estimator would \
     ask for if it ran alone. Seconds: network time of the method over all images.";
const NOTE_FID_INF: &str = "FID∞ is FID with the estimated bias of a finite number of images removed, by halves of the set itself; in \
     the row of random subsets it is the mean over them, each by its own halves. Compare it, not FID, between sets of \
     different n. Δ∞ is FID∞ minus that mean, ± its standard error over new pools (the jackknife over ten groups of images \
     left out in turn, which errs upwards).";

/// Whether this table tells the number: in a column, or as the difference or error bar of one.
pub(super) fn tells(name: &str) -> bool {
    COLUMNS.contains(&name) || [metric::FID_BIAS, metric::FID_SD, metric::KID_SD].contains(&name)
}

/// A row of the table: a method and the part that it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line<'a> {
    method: &'a str,
    side: Option<&'a str>,
}

/// The table of one setting; `None` where no row has a metric that belongs here.
pub(super) fn section(
    setting: &Setting,
    (rows, labels): (&[MetricRow], &Labels),
    published: Option<&PublishedTable>,
) -> Option<Section> {
    let here: Vec<&MetricRow> = rows
        .iter()
        .filter(|row| setting.holds(row) && !between::is_of(row))
        .filter(|row| COLUMNS.contains(&row.metric.as_str()))
        .collect();
    if here.is_empty() {
        return None;
    }
    let table = FilterTable { rows: here, labels, setting, published };
    Some(Section {
        heading: format!(
            "Measured: `{}` on {}, sampler `{}`{}",
            setting.model,
            setting.dataset,
            setting.sampler,
            setting.arm.as_ref().map_or(String::new(), |arm| format!(", arm `{arm}`"))
        ),
        grid: table.grid(),
        remarks: table.remarks(),
    })
}

struct FilterTable<'a> {
    rows: Vec<&'a MetricRow>,
    labels: &'a Labels,
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
            ("SE, new pools", Align::Right),
            ("Δ∞ random ± SE", Align::Right),
            ("p", Align::Right),
            ("p (Holm)", Align::Right),
            ("Verdict", Align::Left),
            ("KID × 10³ ± SE", Align::Right),
            ("Δ KID × 10³ ± sd", Align::Right),
            ("p KID", Align::Right),
            ("p KID (Holm)", Align::Right),
            ("n", Align::Right),
            ("NFE", Align::Right),
            ("Seconds", Align::Right),
            (&self.paper_heading(), Align::Right),
        ]);
        let mut group = label::Group::Baseline;
        for line in self.lines() {
            let next = self.labels.group(line.method);
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
            let line = Line { method: &row.method, side: row.side.as_deref() };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        // The sort is stable: within a group the methods keep the order of the plan.
        let first: Vec<&str> = lines.iter().map(|line| line.method).collect();
        lines.sort_by_key(|line| {
            let place = first.iter().position(|method| *method == line.method);
            (self.labels.group(line.method), place, line.side != Some("lowest"))
        });
        lines
    }

    fn find(&self, line: Line<'_>, metric: &str) -> Option<&'a MetricRow> {
        self.rows.iter().copied().find(|row| {
            row.metric == metric && row.method == line.method && row.side.as_deref() == line.side
        })
    }

    fn cells(&self, line: Line<'_>, grid: &mut Grid) -> Vec<Cell> {
        let fid = self.find(line, metric::FID);
        let any = fid.or_else(|| {
            self.rows
                .iter()
                .copied()
                .find(|row| row.method == line.method && row.side.as_deref() == line.side)
        });
        let p = self.find(line, metric::P_VALUE);
        let adjusted = self.find(line, metric::P_HOLM);
        vec![
            Cell::new(self.labels.method(line.method)),
            Cell::new(label::kept(line.side)),
            cells::estimate(fid, grid),
            cells::estimate(self.find(line, metric::FID_INF), grid),
            self.delta(line, fid, grid),
            self.over_pools(line),
            cells::difference(self.find(line, metric::DELTA_INF), grid),
            cells::p_value(p, grid),
            cells::p_value(adjusted, grid),
            self.verdict(line, fid, adjusted.or(p)),
            cells::estimate(cells::in_thousandths(self.find(line, metric::KID)).as_ref(), grid),
            cells::difference(
                cells::in_thousandths(self.find(line, metric::DELTA_KID)).as_ref(),
                grid,
            ),
            cells::p_value(self.find(line, metric::P_KID), grid),
            cells::p_value(self.find(line, metric::P_KID_HOLM), grid),
            cells::count(any),
            cells::nfe(any),
            cells::seconds(any),
            self.paper(line, fid, grid),
        ]
    }

    /// Difference to the random mean: the measured row where there is one, else the plain difference.
    fn delta(&self, line: Line<'_>, fid: Option<&MetricRow>, grid: &mut Grid) -> Cell {
        let row = self.find(line, metric::DELTA);
        if row.is_some() {
            return cells::difference(row, grid);
        }
        let random = Line { method: "random", side: None };
        let mean = self
            .find(random, metric::FID)
            .or_else(|| self.rows.iter().copied().find(|row| row.method == "random"))
            .filter(|row| row.metric == metric::FID)
            .and_then(|row| row.value);
        let (Some(value), Some(mean)) = (fid.and_then(|row| row.value), mean) else {
            return Cell::default();
        };
        if self.labels.group(line.method) == label::Group::Baseline {
            return Cell::default();
        }
        let se = fid.and_then(|row| row.se);
        let text = number::signed_with_error(value - mean, se)
            .map(|text| text.split(" ± ").next().unwrap_or_default().to_owned());
        Cell::new(text.unwrap_or_default())
    }

    /// To as many places as the difference that it belongs to would have with it.
    fn over_pools(&self, line: Line<'_>) -> Cell {
        let se = self.find(line, metric::DELTA_SE_POOLS).and_then(|row| row.value);
        let text = se.and_then(|se| number::significant(se, 2));
        Cell::new(text.unwrap_or_default())
    }

    fn verdict(&self, line: Line<'_>, fid: Option<&MetricRow>, p: Option<&MetricRow>) -> Cell {
        let rows = [fid, p, self.find(line, metric::DELTA)];
        let word = rows.into_iter().flatten().find_map(|row| row.verdict.as_deref());
        cells::verdict(word, p.and_then(|row| row.value))
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
        let lowest = line.side.is_none_or(|side| side == "lowest");
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
        if self.rows.iter().copied().any(cells::at_floor) {
            out.push(NOTE_FLOOR.to_owned());
        }
        if self.rows.iter().any(|row| row.metric == metric::DELTA_SE_POOLS) {
            out.push(NOTE_POOLS.to_owned());
        }
        if self.rows.iter().any(|row| row.metric == metric::FID_INF) {
            out.push(NOTE_FID_INF.to_owned());
        }
        let kid = |row: &&&MetricRow| row.metric == metric::KID && row.value.is_some();
        if self.rows.iter().any(|row| kid(&row)) {
            out.push(NOTE_KID.to_owned());
        }
        if self.rows.iter().any(|row| row.nfe_trajectory.is_some()) {
            out.push(NOTE_NFE.to_owned());
        }
        let of_fid = self.rows.iter().filter(|row| row.metric == metric::FID);
        let references: BTreeSet<u64> = of_fid.filter_map(|row| row.n_reference).collect();
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
