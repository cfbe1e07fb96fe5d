//! Every repeat of every estimator: measured over predicted ratio.

use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Marker, Stroke, name_column};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, label, number};
use crate::store::records::MetricRow;

use super::{TARGET, WITHOUT};

const NAME: &str = "times";
const MARGIN: f64 = 24.0;
const GAP: f64 = 10.0;
const TOP: f64 = 66.0;
const WIDTH: f64 = 420.0;
const ROW: f64 = 34.0;
const RIGHT: f64 = 170.0;
const FOOT: f64 = 60.0;

/// One estimator.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    name: String,
    /// Measured over predicted ratio of each repeat.
    repeats: Vec<f64>,
    mean: f64,
    interval: Option<(f64, f64)>,
}

/// The figure: one line an estimator.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RepeatTimes {
    lines: Vec<Line>,
    n: u64,
    left: f64,
}

impl RepeatTimes {
    /// Collects the repeats; `None` without estimators.
    ///
    /// # Errors
    /// [`ReportError::Plot`] where the font is damaged.
    pub(super) fn new(rows: &[MetricRow]) -> Result<Option<Self>, ReportError> {
        let repeats = |arm: &str| -> Vec<f64> {
            let own = rows.iter().filter(|row| row.arm == arm && row.metric == "repeat_seconds");
            own.filter_map(|row| row.value).collect()
        };
        let base = repeats(WITHOUT);
        let line = |row: &MetricRow| {
            let predicted = rows
                .iter()
                .find(|other| other.arm == row.arm && other.metric == "predicted_ratio")?
                .value?;
            let pairs = repeats(&row.arm).into_iter().zip(base.iter().copied());
            Some(Line {
                name: label::named(&row.kind, &row.method),
                repeats: pairs.map(|(own, base)| own / base / predicted).collect(),
                mean: row.value?,
                interval: row.ci_low.zip(row.ci_high),
            })
        };
        let over = rows.iter().filter(|row| row.metric == "time_over_predicted");
        let lines: Vec<Line> = over.filter_map(line).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let column = name_column(lines.iter().map(|line| line.name.as_str()))
            .map_err(|cause| ReportError::Plot { name: NAME.to_owned(), cause })?;
        let n = rows.iter().find(|row| row.metric == "seconds").and_then(|row| row.n);
        Ok(Some(Self { lines, n: n.unwrap_or(0), left: MARGIN + column + GAP }))
    }

    fn panel(&self) -> Panel {
        let dots = self.lines.iter().flat_map(|line| line.repeats.iter().copied());
        let ends = self.lines.iter().filter_map(|line| line.interval).flat_map(|(a, b)| [a, b]);
        let n = self.lines.len() as f64;
        Panel {
            place: (self.left, TOP, WIDTH, n * ROW),
            x: Axis::covering(dots.chain(ends).chain([1.0, TARGET]), 6),
            y: Axis { low: 0.0, high: n, ticks: Vec::new(), decimals: 0 },
        }
    }
}

impl Figure for RepeatTimes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        format!("Wall time with estimation over its prediction, {} images", number::count(self.n))
    }

    fn size(&self) -> (u32, u32) {
        let height = TOP + self.lines.len() as f64 * ROW + FOOT;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = ((self.left + WIDTH + RIGHT) as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        canvas.text((MARGIN, 24.0), &self.title(), Anchor::Start, (style::TITLE, style::INK))?;
        let panel = self.panel();
        panel.draw_axes(canvas, TickLabels::Shown, |x| panel.x.label(x))?;
        let n = self.lines.len() as f64;
        let dashed = Stroke { colour: style::INK, width: 1.2, dash: Some((4.0, 3.0)) };
        for (at, look, words) in
            [(1.0, Stroke::solid(style::INK, 1.2), "predicted"), (TARGET, dashed, "target")]
        {
            let ends = [panel.point(at, 0.0), panel.point(at, n)];
            canvas.line(&ends, look)?;
            let anchor = if at > 1.0 { Anchor::Start } else { Anchor::End };
            canvas.text((ends[1].0, TOP - 6.0), words, anchor, (style::SMALL, style::INK))?;
        }
        for (i, line) in self.lines.iter().enumerate() {
            let y = n - i as f64 - 0.5;
            for repeat in &line.repeats {
                canvas.marker(panel.point(*repeat, y), Marker::Disc, 3.0, style::RANDOM)?;
            }
            if let Some((low, high)) = line.interval {
                let bar = [panel.point(low, y - 0.25), panel.point(high, y - 0.25)];
                canvas.line(&bar, Stroke::solid(style::colour(0), 1.8))?;
            }
            let mean = panel.point(line.mean, y - 0.25);
            canvas.marker(mean, Marker::Diamond, 3.6, style::colour(0))?;
            let (_, at) = panel.point(panel.x.low, y);
            let look = (style::SMALL, style::INK);
            canvas.text((self.left - GAP, at + 4.0), &line.name, Anchor::End, look)?;
            let half = line.interval.map(|(low, high)| (high - low) / 2.0);
            let note = number::with_error(line.mean, half).unwrap_or_default();
            let soft = (style::SMALL, style::SOFT_INK);
            canvas.text((self.left + WIDTH + 12.0, at + 4.0), &note, Anchor::Start, soft)?;
        }
        panel.draw_x_name(canvas, "measured ratio / predicted ratio: repeats, mean, 95 % interval")
    }
}
