//! Distribution of every score over the pool, with the two cuts of the paper.

use plotters::prelude::DrawingBackend;

use super::Figure;
use super::axes::{Axis, Panel, TickLabels};
use super::canvas::{Anchor, Canvas, Stroke};
use super::style;
use crate::report::{ReportError, number};
use crate::store::records::ScoreTable;

/// Bars across the axis: twice the square root of the number of images, within these ends.
const N_BINS: (usize, usize) = (14, 72);
const WIDTH: f64 = 760.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 64.0;
const PANEL: f64 = 84.0;
const STEP: f64 = 136.0;
/// Standard deviations that the axis shows at most; scores beyond are counted in the outer bins.
const REACH: (f64, f64) = (-4.0, 6.0);

/// One method's scores, standardised.
#[derive(Clone, Debug, PartialEq)]
struct Scores {
    method: String,
    mean: f64,
    sd: f64,
    /// Ascending; empty where all scores are equal.
    z: Vec<f64>,
}

/// The figure: one panel a method, one axis for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Histograms {
    panels: Vec<Scores>,
    range: (f64, f64),
    n_bins: usize,
}

impl Histograms {
    /// Standardises the scores; `None` without methods or samples.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a column of another length and for scores that are not finite.
    pub fn new(table: &ScoreTable) -> Result<Option<Self>, ReportError> {
        if table.columns.is_empty() || table.samples.is_empty() {
            return Ok(None);
        }
        let panels = table
            .columns
            .iter()
            .map(|(method, scores)| standardise(method, scores, table.samples.len()))
            .collect::<Result<Vec<_>, _>>()?;
        let ends = |pick: fn(&[f64]) -> Option<&f64>| {
            panels.iter().filter_map(move |p| pick(&p.z)).copied()
        };
        let low = ends(<[f64]>::first).fold(-1.0, f64::min).max(REACH.0);
        let high = ends(<[f64]>::last).fold(1.0, f64::max).min(REACH.1);
        let n_bins = (2 * table.samples.len().isqrt()).clamp(N_BINS.0, N_BINS.1);
        Ok(Some(Self { panels, range: (low.floor(), high.ceil()), n_bins }))
    }

    fn counts(&self, z: &[f64]) -> Vec<u32> {
        let (low, high) = self.range;
        let mut counts = vec![0; self.n_bins];
        for value in z {
            let place = (value - low) / (high - low) * self.n_bins as f64;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to the bins"
            )]
            let bin = (place.clamp(0.0, self.n_bins as f64 - 1.0)) as usize;
            counts[bin] += 1;
        }
        counts
    }

    fn draw_panel<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        at: usize,
    ) -> Result<(), String> {
        let scores = &self.panels[at];
        let counts = self.counts(&scores.z);
        let highest = counts.iter().copied().max().unwrap_or(0).max(1);
        let place = (LEFT, TOP + at as f64 * STEP, WIDTH - LEFT - 28.0, PANEL);
        let panel = Panel {
            place,
            x: Axis::fixed(self.range.0, self.range.1, 10),
            y: Axis::covering([0.0, f64::from(highest)], 3),
        };
        panel.draw_axes(canvas, TickLabels::Shown, |z| panel.x.label(z))?;
        let (low, high) = self.range;
        let width = (high - low) / self.n_bins as f64;
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (x, y) = panel.point(low + bin as f64 * width, f64::from(*count));
            let (right, bottom) = panel.point(low + (bin as f64 + 1.0) * width, 0.0);
            canvas.block((x, y, right - x - 0.6, bottom - y), style::colour(at))?;
        }
        self.draw_cuts(canvas, &panel, &scores.z)?;
        let (_, top, ..) = place;
        let look = (style::LABEL, style::INK);
        canvas.text((LEFT, top - 8.0), &scores.method, Anchor::Start, look)?;
        let note = (style::SMALL, style::SOFT_INK);
        canvas.text((WIDTH - 28.0, top - 8.0), &self.caption(scores), Anchor::End, note)
    }

    fn draw_cuts<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        panel: &Panel,
        z: &[f64],
    ) -> Result<(), String> {
        let dotted = Stroke { colour: style::INK, width: 1.3, dash: Some((1.5, 2.6)) };
        for sixths in [1, 5] {
            let Some(cut) = z.get(z.len() * sixths / 6) else { continue };
            let x = cut.clamp(self.range.0, self.range.1);
            canvas.line(&[panel.point(x, panel.y.low), panel.point(x, panel.y.high)], dotted)?;
        }
        Ok(())
    }

    fn caption(&self, scores: &Scores) -> String {
        if scores.z.is_empty() {
            return format!(
                "all scores are {}",
                number::significant(scores.mean, 4).unwrap_or_default()
            );
        }
        let text = |value| number::significant(value, 4).unwrap_or_default();
        let (low, high) = self.range;
        let beyond = scores.z.iter().filter(|z| **z < low || **z > high).count();
        let caption = format!("mean {}, sd {}", text(scores.mean), text(scores.sd));
        match beyond {
            0 => caption,
            _ => format!("{caption}; {beyond} beyond the axis, in the outer bars"),
        }
    }
}

/// Mean, standard deviation (divisor n - 1) and z-scores in ascending order.
fn standardise(method: &str, scores: &[f64], n: usize) -> Result<Scores, ReportError> {
    let refuse = |got: String, expected: String| ReportError::Value {
        place: format!("scores of {method}"),
        got,
        expected,
        remedy: "run `dubench evaluate` again".to_owned(),
    };
    if scores.len() != n {
        return Err(refuse(format!("{} scores", scores.len()), format!("{n}, one a sample")));
    }
    if let Some(bad) = scores.iter().find(|score| !score.is_finite()) {
        return Err(refuse(bad.to_string(), "finite scores".to_owned()));
    }
    let mean = scores.iter().sum::<f64>() / n as f64;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    let sd = (squares / (n as f64 - 1.0).max(1.0)).sqrt();
    let mut z: Vec<f64> = Vec::new();
    if sd > 1e-12 * mean.abs() {
        z.extend(scores.iter().map(|score| (score - mean) / sd));
        z.sort_by(f64::total_cmp);
    }
    Ok(Scores { method: method.to_owned(), mean, sd, z })
}

impl Figure for Histograms {
    fn name(&self) -> &'static str {
        "score-histograms"
    }

    fn title(&self) -> String {
        "Scores of the pool, standardised".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let height = TOP + self.panels.len() as f64 * STEP - 4.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "hundreds of pixels"
        )]
        let size = (WIDTH as u32, height.ceil() as u32);
        size
    }

    fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((LEFT, 20.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let note = (style::SMALL, style::SOFT_INK);
        let cuts = "dotted: one sixth of the images lies to the left, one sixth to the right";
        canvas.text((WIDTH - 28.0, 20.0), cuts, Anchor::End, note)?;
        for at in 0..self.panels.len() {
            self.draw_panel(canvas, at)?;
        }
        let middle = TOP + 0.5 * (self.panels.len() as f64 * STEP - STEP + PANEL);
        canvas.text_upwards((22.0, middle), "images a bar", (style::LABEL, style::INK))?;
        let bottom = TOP + self.panels.len() as f64 * STEP - 4.0;
        let name = "standard deviations from the mean (right: less certain)";
        let centre = (LEFT + (WIDTH - LEFT - 28.0) / 2.0, bottom);
        canvas.text(centre, name, Anchor::Middle, (style::LABEL, style::INK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SampleId;

    fn table(scores: Vec<f64>) -> ScoreTable {
        let samples = (0..scores.len() as u64).map(SampleId).collect();
        ScoreTable { samples, columns: vec![("sample_var".to_owned(), scores)] }
    }

    #[test]
    fn every_image_is_in_one_bar() {
        let figure = Histograms::new(&table((0..500).map(f64::from).collect())).unwrap().unwrap();
        let counts = figure.counts(&figure.panels[0].z);
        assert_eq!(counts.iter().sum::<u32>(), 500);
    }

    #[test]
    fn equal_scores_are_said_to_be_equal() {
        let figure = Histograms::new(&table(vec![2.5; 10])).unwrap().unwrap();
        assert_eq!(figure.caption(&figure.panels[0]), "all scores are 2.500");
    }

    #[test]
    fn scores_that_are_no_number_are_refused() {
        let error = Histograms::new(&table(vec![1.0, f64::NAN])).unwrap_err();
        insta::assert_snapshot!(error, @"scores of sample_var: got NaN, expected finite scores: run `dubench evaluate` again");
        let mut short = table(vec![1.0, 2.0]);
        short.samples.pop();
        assert!(Histograms::new(&short).is_err());
    }
}
