//! The layout of Tables 5 and 6: one row an arm.

use super::{TARGET, WITHOUT};
use crate::plan::{ArmPlan, Work};
use crate::report::document::{Align, Cell, Grid, Section};
use crate::report::{cells, label, number};
use crate::store::records::MetricRow;

const NOTES: [&str; 4] = [
    "Seconds: wall time of one repeat, drawing, network, sampler and estimator, without decoding; ± is the standard error of the \
     mean over repeats. MAD: median absolute deviation. Ratio: of the repeats pairwise, ± its standard error.",
    "Predicted: (N + M w) / N by the evaluations that were counted, for N steps and M draws at w of them. Holds: the 95 % interval \
     (Student's t) of measured over predicted ends below the target of 1.05; does not: it begins above; else within noise.",
    "Others: cores that other processes kept busy beside the worst repeat.",
    "Images with and without estimation are the same bytes: estimation does not move the trajectory.",
];
const DISTURBED: &str =
    "NO EVIDENCE: other processes were busy while these times were taken, or nobody looked.";
const MOVED: &str = "NO EVIDENCE: images with and without estimation differ, so the two sides did not do the same work.";

/// Load from which on times are no evidence.
const QUIET_CORES: f64 = 0.1;

/// The table of all arms.
pub(super) fn section(work: &Work, rows: &[MetricRow]) -> Section {
    let mut grid = Grid::with_columns(&[
        ("Estimation", Align::Left),
        ("M", Align::Right),
        ("Steps", Align::Right),
        ("NFE", Align::Right),
        ("Seconds ± SE", Align::Right),
        ("Median ± MAD", Align::Right),
        ("Ratio ± SE", Align::Right),
        ("Predicted", Align::Right),
        ("Measured / predicted", Align::Right),
        ("95 % interval", Align::Right),
        (&format!("≤ {TARGET}?"), Align::Left),
        ("Decode, s", Align::Right),
        ("Others, cores", Align::Right),
        ("Paper, s", Align::Right),
        ("Paper, ratio", Align::Right),
    ]);
    for arm in &work.arms {
        let cells = Line { arm, rows }.cells(&mut grid);
        grid.push(cells, false);
    }
    let busy = |row: &MetricRow| {
        row.metric == "other_cores" && row.value.is_none_or(|cores| cores > QUIET_CORES)
    };
    let moved = |row: &MetricRow| row.metric == "images_equal" && row.value != Some(1.0);
    let (disturbed, moved) = (rows.iter().any(busy), rows.iter().any(moved));
    let mut remarks: Vec<String> = disturbed.then(|| DISTURBED.to_owned()).into_iter().collect();
    remarks.extend(moved.then(|| MOVED.to_owned()));
    remarks.extend(NOTES[..3].iter().map(|note| (*note).to_owned()));
    remarks.extend((!moved).then(|| NOTES[3].to_owned()));
    Section {
        heading: format!("Seconds for {} images", work.block_size),
        grid: grid.without_empty_columns(),
        remarks,
    }
}

struct Line<'a> {
    arm: &'a ArmPlan,
    rows: &'a [MetricRow],
}

impl<'a> Line<'a> {
    fn find(&self, metric: &str) -> Option<&'a MetricRow> {
        self.rows.iter().find(|row| row.arm == self.arm.name && row.metric == metric)
    }

    fn value(&self, metric: &str) -> Option<f64> {
        self.find(metric)?.value
    }

    fn cells(&self, grid: &mut Grid) -> Vec<Cell> {
        let text = |text: Option<String>| Cell::new(text.unwrap_or_default());
        let watch = self.arm.watch.first();
        let name = match watch {
            Some(plan) => label::named(plan.rule.kind(), &plan.name),
            None => label::kind(WITHOUT).to_owned(),
        };
        let window = watch.map(|plan| plan.window);
        let seconds = self.find("seconds");
        let over = self.find("time_over_predicted");
        let interval = over.and_then(|row| {
            let (low, high) = (row.ci_low?, row.ci_high?);
            Some(format!("{} to {}", number::fixed(low, 3)?, number::fixed(high, 3)?))
        });
        let paper = |row: Option<&MetricRow>| row.and_then(|row| row.paper_value);
        let verdict = over.and_then(|row| row.verdict.clone());
        vec![
            Cell::new(name),
            text(watch.map(|plan| plan.n_draws.to_string())),
            text(
                window.map(|window| format!("{}–{}", window.start, window.start + window.len - 1)),
            ),
            cells::nfe(seconds),
            cells::estimate(seconds, grid),
            text(
                self.value("median_seconds")
                    .and_then(|median| number::with_error(median, self.value("mad_seconds"))),
            ),
            cells::estimate(self.find("time_ratio"), grid),
            text(self.value("predicted_ratio").and_then(|ratio| number::fixed(ratio, 3))),
            cells::estimate(over, grid),
            text(interval),
            text(verdict),
            text(self.value("decode_seconds").and_then(|seconds| number::significant(seconds, 2))),
            text(self.value("other_cores").and_then(|cores| number::fixed(cores, 2))),
            text(paper(seconds).and_then(number::exact)),
            text(paper(self.find("time_ratio")).and_then(|ratio| number::fixed(ratio, 3))),
        ]
    }
}
