//! FID difference of every guided arm to the unguided images of the same starts, with its 95 % interval.

use crate::protocol::rows::Z95;
use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Marker, Stroke, name_column};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, label, metric, number};
use crate::store::records::MetricRow;

const MARGIN: f64 = 24.0;
const GAP: f64 = 10.0;
const NAME: &str = "guidance-effect";
const TOP: f64 = 60.0;
const WIDTH: f64 = 420.0;
const ROW: f64 = 26.0;
const RIGHT: f64 = 220.0;
const FOOT: f64 = 56.0;

/// One arm.
#[derive(Clone, Debug, PartialEq)]
struct Effect {
    name: String,
    sampler: String,
    delta: f64,
    half: f64,
    n: u64,
}

/// The figure: one line an arm, grouped by sampler.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GuidanceEffect {
    effects: Vec<Effect>,
    /// Width of the names.
    left: f64,
}

impl Effect {
    fn words(&self) -> String {
        format!("{}, {}", self.name, self.sampler)
    }

    /// The difference in figures: beside one of a hundred, one of two is on the line.
    fn note(&self) -> String {
        let delta = number::signed_with_error(self.delta, Some(self.half / Z95));
        format!("{}, n = {}", delta.unwrap_or_default(), number::count(self.n))
    }
}

impl GuidanceEffect {
    /// Collects the paired differences; `None` without any.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a difference that is not finite.
    pub(super) fn new(rows: &[MetricRow]) -> Result<Option<Self>, ReportError> {
        let mut effects = Vec::new();
        // Differences between two rules stand in a table of their own.
        let against_none =
            |row: &&MetricRow| row.argument.as_deref().is_none_or(|other| other == super::UNGUIDED);
        for row in rows.iter().filter(|row| row.metric == metric::DELTA).filter(against_none) {
            let finite = row.value.zip(row.se).filter(|(v, se)| v.is_finite() && se.is_finite());
            let Some((delta, se)) = finite else {
                return Err(ReportError::Value {
                    place: format!("difference of {} ({})", row.arm, row.sampler),
                    got: format!("{:?} ± {:?}", row.value, row.se),
                    expected: "a finite difference and error".to_owned(),
                    remedy: "run `dubench evaluate` again".to_owned(),
                });
            };
            effects.push(Effect {
                name: label::named(&row.kind, &row.arm),
                sampler: row.sampler.clone(),
                delta,
                half: Z95 * se,
                n: row.n.unwrap_or(0),
            });
        }
        if effects.is_empty() {
            return Ok(None);
        }
        let names: Vec<String> = effects.iter().map(Effect::words).collect();
        let column = name_column(names.iter().map(String::as_str))
            .map_err(|cause| ReportError::Plot { name: NAME.to_owned(), cause })?;
        let left = MARGIN + column + GAP;
        Ok(Some(Self { effects, left }))
    }

    fn panel(&self) -> Panel {
        let ends = self.effects.iter().flat_map(|e| [e.delta - e.half, e.delta + e.half]);
        let n = self.effects.len() as f64;
        Panel {
            place: (self.left, TOP, WIDTH, n * ROW),
            x: Axis::covering(ends.chain([0.0]), 6),
            y: Axis { low: 0.0, high: n, ticks: Vec::new(), decimals: 0 },
        }
    }
}

impl Figure for GuidanceEffect {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        "FID with guidance minus FID without, from the same starts".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let height = TOP + self.effects.len() as f64 * ROW + FOOT;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = ((self.left + WIDTH + RIGHT) as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 24.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let panel = self.panel();
        panel.draw_axes(canvas, TickLabels::Shown, |x| panel.x.label(x))?;
        let n = self.effects.len() as f64;
        let zero = [panel.point(0.0, 0.0), panel.point(0.0, n)];
        canvas.line(&zero, Stroke::solid(style::INK, 1.2))?;
        for (i, effect) in self.effects.iter().enumerate() {
            let y = n - i as f64 - 0.5;
            let samplers = self.effects.iter().take(i + 1).map(|e| &e.sampler);
            let group = samplers.collect::<std::collections::BTreeSet<_>>().len() - 1;
            let bar = [
                panel.point(effect.delta - effect.half, y),
                panel.point(effect.delta + effect.half, y),
            ];
            canvas.line(&bar, Stroke::solid(style::colour(group), 1.8))?;
            canvas.marker(panel.point(effect.delta, y), Marker::Disc, 4.0, style::colour(group))?;
            let at = panel.point(panel.x.low, y);
            let look = (style::SMALL, style::INK);
            canvas.text((self.left - GAP, at.1 + 4.0), &effect.words(), Anchor::End, look)?;
            let note = effect.note();
            let soft = (style::SMALL, style::SOFT_INK);
            canvas.text((self.left + WIDTH + 12.0, at.1 + 4.0), &note, Anchor::Start, soft)?;
        }
        panel.draw_x_name(canvas, "ΔFID, bar 95 %, figures ± SE (left: guidance is better)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_paired_difference_is_a_line_and_nan_is_refused() {
        let mut row = crate::protocol::filtering::example::rows().remove(0);
        row.metric = metric::DELTA.to_owned();
        (row.value, row.se) = (Some(-0.5), Some(0.2));
        row.argument = None;
        let other = MetricRow { sampler: "ddim-5".into(), ..row.clone() };
        let figure = GuidanceEffect::new(&[row.clone(), other]).unwrap().unwrap();
        assert_eq!(figure.effects.len(), 2);
        assert!(figure.effects[0].note().starts_with("−0.50 ± 0.20, n = "));
        assert_eq!(crate::report::plot::files(&figure).unwrap().len(), 2);
        row.value = Some(f64::NAN);
        assert!(GuidanceEffect::new(&[row]).is_err());
        assert_eq!(GuidanceEffect::new(&[]).unwrap(), None);
    }
}
