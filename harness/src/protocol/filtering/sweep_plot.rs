//! Figure 11 and the sweep of the window: what filtering does by how many draws an estimator has, and where it looks.
//!
//! Drawn where an experiment has several estimators of one kind that differ in draws or window. The first of that kind is
//! what the others are held against: one panel for those of its window, one for those of its evaluations, one for those of its
//! draws.

use crate::protocol::rows::Z95;
use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Marker, Stroke, name_column};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, label, metric, number};
use crate::store::records::MetricRow;
use crate::uncertainty::EstimatorPlan;

const NAME: &str = "draws-and-windows";
const MARGIN: f64 = 24.0;
const GAP: f64 = 10.0;
const TOP: f64 = 70.0;
const HEAD: f64 = 30.0;
const ROW: f64 = 26.0;
const WIDTH: f64 = 440.0;
const RIGHT: f64 = 220.0;
const FOOT: f64 = 62.0;

/// How a line is called.
type Words = fn(&EstimatorPlan) -> String;

/// One end of a ranking: difference to random subsets, and its standard error over new pools.
type Effect = (f64, Option<f64>);

/// One estimator.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    words: String,
    /// Images of lowest, and of highest score kept.
    sides: [Effect; 2],
}

/// Estimators that differ in one thing.
#[derive(Clone, Debug, PartialEq)]
struct Sweep {
    title: String,
    lines: Vec<Line>,
}

/// The figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DrawSweep {
    title: String,
    caption: String,
    sweeps: Vec<Sweep>,
    /// Standard deviation of random subsets.
    random_sd: f64,
    left: f64,
}

impl DrawSweep {
    /// Sorts the estimators into sweeps; `None` where there are none.
    ///
    /// # Errors
    /// [`ReportError::Plot`] where the font is damaged.
    pub(super) fn new(
        rows: &[MetricRow],
        watch: &[EstimatorPlan],
        caption: &str,
    ) -> Result<Option<Self>, ReportError> {
        let Some(first) = watch.first() else { return Ok(None) };
        let sweeps = sweeps(rows, (first, watch));
        if sweeps.is_empty() {
            return Ok(None);
        }
        let words = sweeps.iter().flat_map(|sweep| &sweep.lines).map(|line| line.words.as_str());
        let column = name_column(words)
            .map_err(|cause| ReportError::Plot { name: NAME.to_owned(), cause })?;
        let random = rows.iter().find(|row| row.metric == metric::FID_SD);
        let method = label::kind(first.rule.kind());
        Ok(Some(Self {
            title: format!("{method}: FID of what is kept, less that of random subsets"),
            caption: caption.to_owned(),
            sweeps,
            random_sd: random.and_then(|row| row.value).unwrap_or(0.0),
            left: MARGIN + column + GAP,
        }))
    }

    fn axis(&self) -> Axis {
        let lines = self.sweeps.iter().flat_map(|sweep| &sweep.lines);
        let ends = lines.flat_map(|line| &line.sides).flat_map(|(value, se)| {
            let half = Z95 * se.unwrap_or(0.0);
            [value - half, value + half]
        });
        Axis::covering(ends.chain([-Z95 * self.random_sd, Z95 * self.random_sd]), 6)
    }

    fn height(&self) -> f64 {
        self.sweeps.iter().map(|sweep| HEAD + sweep.lines.len() as f64 * ROW).sum()
    }

    fn draw_sweep<B: Backend>(
        &self,
        canvas: &mut Canvas<B>,
        sweep: &Sweep,
        (top, labels): (f64, TickLabels),
    ) -> Result<(), String> {
        let n = sweep.lines.len() as f64;
        let panel = Panel {
            place: (self.left, top + HEAD, WIDTH, n * ROW),
            x: self.axis(),
            y: Axis { low: 0.0, high: n, ticks: Vec::new(), decimals: 0 },
        };
        let title = (style::LABEL, style::INK);
        canvas.text((MARGIN, top + HEAD - 9.0), &sweep.title, Anchor::Start, title)?;
        let half = Z95 * self.random_sd;
        let corners = [(-half, 0.0), (half, 0.0), (half, n), (-half, n)];
        canvas.fill(&corners.map(|(x, y)| panel.point(x, y)), style::RANDOM, 0.22)?;
        panel.draw_axes(canvas, labels, |x| panel.x.label(x))?;
        canvas.line(
            &[panel.point(0.0, 0.0), panel.point(0.0, n)],
            Stroke::solid(style::RANDOM, 1.4),
        )?;
        for (i, line) in sweep.lines.iter().enumerate() {
            let y = n - i as f64 - 0.5;
            for (side, (value, se)) in line.sides.iter().enumerate() {
                let y = y + 0.18 - 0.36 * side as f64;
                let colour = style::colour(side);
                if let Some(se) = se {
                    let ends = [value - Z95 * se, value + Z95 * se].map(|x| panel.point(x, y));
                    canvas.line(&ends, Stroke::solid(colour, 1.6))?;
                }
                canvas.marker(panel.point(*value, y), Marker::of(side), 3.6, colour)?;
            }
            let (_, at) = panel.point(panel.x.low, y);
            let (ink, soft) = ((style::SMALL, style::INK), (style::SMALL, style::SOFT_INK));
            canvas.text((self.left - GAP, at + 4.0), &line.words, Anchor::End, ink)?;
            let note =
                |(value, se): Effect| number::signed_with_error(value, se).unwrap_or_default();
            let note = format!("{}; {}", note(line.sides[0]), note(line.sides[1]));
            canvas.text((self.left + WIDTH + 12.0, at + 4.0), &note, Anchor::Start, soft)?;
        }
        if labels == TickLabels::Shown {
            panel.draw_x_name(canvas, "ΔFID (left: better than random); bar 95 % over new pools, band 95 % of random subsets")?;
        }
        Ok(())
    }
}

/// The estimators of the kind of `first`: those of its window, of its evaluations, of its draws.
fn sweeps(rows: &[MetricRow], (first, watch): (&EstimatorPlan, &[EstimatorPlan])) -> Vec<Sweep> {
    let cost = |plan: &EstimatorPlan| plan.n_draws * plan.window.len;
    let own: Vec<&EstimatorPlan> =
        watch.iter().filter(|plan| plan.rule.kind() == first.rule.kind()).collect();
    let with = |same: &dyn Fn(&EstimatorPlan) -> bool| -> Vec<&EstimatorPlan> {
        own.iter().copied().filter(|plan| same(plan)).collect()
    };
    let mut by_draws = with(&|plan| plan.window == first.window);
    by_draws.sort_by_key(|plan| plan.n_draws);
    // Those that differ in the window alone have a panel of their own.
    let mut by_cost =
        with(&|plan| plan == first || cost(plan) == cost(first) && plan.n_draws != first.n_draws);
    by_cost.sort_by_key(|plan| plan.window.len);
    let mut by_window = with(&|plan| plan.n_draws == first.n_draws);
    by_window.sort_by_key(|plan| (plan.window.start, plan.window.len));
    let titles = [
        format!("Number of draws M, {}", steps(first)),
        format!("{} evaluations an image, spent otherwise", cost(first)),
        format!("Steps looked at, M = {}", first.n_draws),
    ];
    let words: [Words; 3] = [
        |plan| format!("M = {}", plan.n_draws),
        |plan| format!("M = {}, {}", plan.n_draws, steps(plan)),
        steps,
    ];
    let sweep = |((title, words), plans): ((String, Words), Vec<&EstimatorPlan>)| {
        let line = |plan: &&EstimatorPlan| {
            Some(Line { words: words(plan), sides: sides(rows, &plan.name)? })
        };
        let lines: Vec<Line> = plans.iter().filter_map(line).collect();
        (lines.len() > 1).then_some(Sweep { title, lines })
    };
    let plans = [by_draws, by_cost, by_window];
    titles.into_iter().zip(words).zip(plans).filter_map(sweep).collect()
}

/// Steps of an estimator's window, in words.
fn steps(plan: &EstimatorPlan) -> String {
    match plan.window.len {
        1 => format!("step {}", plan.window.start),
        len => format!("steps {}–{}", plan.window.start, plan.window.start + len - 1),
    }
}

/// Differences of both ends of a ranking; `None` for a method without them.
fn sides(rows: &[MetricRow], method: &str) -> Option<[Effect; 2]> {
    let find = |name: &str, side: &str| {
        let own = |row: &&MetricRow| {
            let of = (row.argument.as_deref(), row.side.as_deref());
            row.method == method && row.metric == name && of == (Some("random"), Some(side))
        };
        rows.iter().find(own).and_then(|row| row.value).filter(|value| value.is_finite())
    };
    let effect =
        |side: &str| Some((find(metric::DELTA, side)?, find(metric::DELTA_SE_POOLS, side)));
    Some([effect("lowest")?, effect("highest")?])
}

impl Figure for DrawSweep {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn size(&self) -> (u32, u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = ((self.left + WIDTH + RIGHT) as u32, (TOP + self.height() + FOOT) as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        canvas.text((MARGIN, 24.0), &self.title, Anchor::Start, (style::TITLE, style::INK))?;
        let soft = (style::SMALL, style::SOFT_INK);
        canvas.text((MARGIN, 44.0), &self.caption, Anchor::Start, soft)?;
        let mut left = MARGIN;
        for (side, words) in
            ["most certain images kept", "least certain images kept"].iter().enumerate()
        {
            canvas.marker((left + 5.0, 58.0), Marker::of(side), 3.6, style::colour(side))?;
            canvas.text((left + 14.0, 62.0), words, Anchor::Start, (style::SMALL, style::INK))?;
            left += 190.0;
        }
        let mut top = TOP;
        for (at, sweep) in self.sweeps.iter().enumerate() {
            let is_last = at + 1 == self.sweeps.len();
            let labels = if is_last { TickLabels::Shown } else { TickLabels::Below };
            self.draw_sweep(canvas, sweep, (top, labels))?;
            top += HEAD + sweep.lines.len() as f64 * ROW;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uncertainty::{EstimatorConfig, Window};

    fn plan(name: &str, n_draws: u32, (start, len): (u32, u32)) -> EstimatorPlan {
        let rule: EstimatorConfig = serde_json::from_str(r#"{"kind": "sample_var"}"#).unwrap();
        EstimatorPlan { name: name.to_owned(), rule, n_draws, window: Window { start, len } }
    }

    fn rows(plans: &[EstimatorPlan]) -> Vec<MetricRow> {
        let facts = crate::protocol::RunFacts::default();
        let row = |plan: &EstimatorPlan| {
            ["lowest", "highest"].map(|side| {
                let row = |name: &str, value| {
                    facts.row(&plan.name, name, Some(value)).of("random").on(side)
                };
                [row(metric::DELTA, 0.5), row(metric::DELTA_SE_POOLS, 0.1)]
            })
        };
        plans.iter().flat_map(row).flatten().collect()
    }

    #[test]
    fn estimators_are_sorted_by_draws_by_evaluations_and_by_window() {
        let plans = [
            plan("a", 5, (45, 4)),
            plan("b", 20, (45, 4)),
            plan("c", 10, (47, 2)),
            plan("d", 5, (5, 4)),
        ];
        let figure = DrawSweep::new(&rows(&plans), &plans, "n").unwrap().unwrap();
        let words: Vec<Vec<&str>> = figure
            .sweeps
            .iter()
            .map(|sweep| sweep.lines.iter().map(|line| line.words.as_str()).collect())
            .collect();
        let expected = [
            vec!["M = 5", "M = 20"],
            vec!["M = 10, steps 47–48", "M = 5, steps 45–48"],
            vec!["steps 5–8", "steps 45–48"],
        ];
        assert_eq!(words, expected);
        assert_eq!(crate::report::plot::files(&figure).unwrap().len(), 2);
    }

    #[test]
    fn one_estimator_of_a_kind_is_no_sweep() {
        let plans = [plan("a", 5, (45, 4))];
        assert_eq!(DrawSweep::new(&rows(&plans), &plans, "n").unwrap(), None);
    }
}
