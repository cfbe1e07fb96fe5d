//! Figure 3: mean and spread over images of the uncertainty of every step, and the spread by itself.

use std::ops::RangeInclusive;

use crate::protocol::rows::Z95;
use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Marker, Stroke};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{Labels, ReportError};
use crate::store::records::CurveRow;

const LEFT: f64 = 84.0;
const WIDTH: f64 = 330.0;
const BETWEEN: f64 = 92.0;
const RIGHT: f64 = 24.0;
const UPPER: (f64, f64) = (92.0, 190.0);
const LOWER: (f64, f64) = (316.0, 170.0);
const HEIGHT: f64 = 566.0;

/// One estimator, by loop index.
#[derive(Clone, Debug, PartialEq)]
struct Walk {
    label: String,
    mean: Vec<f64>,
    /// Spread over images, with its standard error.
    sd: Vec<(f64, f64)>,
}

/// The figure: one column an estimator.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StepSpread {
    walks: Vec<Walk>,
    n_steps: u32,
    part: RangeInclusive<u32>,
    caption: String,
}

/// Which panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Mean,
    Spread,
}

impl StepSpread {
    /// Sorts the rows into walks; `None` without any.
    ///
    /// # Errors
    /// [`ReportError::Value`] for values that are not finite.
    pub(super) fn new(
        rows: &[CurveRow],
        labels: &Labels,
        (n_steps, part, caption): (u32, &RangeInclusive<u32>, &str),
    ) -> Result<Option<Self>, ReportError> {
        let mut methods: Vec<&str> = Vec::new();
        for row in rows {
            if !row.value.is_finite() {
                return Err(ReportError::Value {
                    place: format!("{} of {} at {}", row.metric, row.method, row.x),
                    got: row.value.to_string(),
                    expected: "a finite number".to_owned(),
                    remedy: "run `dubench evaluate` again".to_owned(),
                });
            }
            if !methods.contains(&row.method.as_str()) {
                methods.push(&row.method);
            }
        }
        let walk = |method: &&str| {
            let of = |metric: &str| -> Vec<&CurveRow> {
                let mut own: Vec<&CurveRow> = rows
                    .iter()
                    .filter(|row| row.method == **method && row.metric == metric)
                    .collect();
                own.sort_by(|a, b| a.x.total_cmp(&b.x));
                own
            };
            let sd = of("step_sd").iter().map(|row| (row.value, row.se.unwrap_or(0.0))).collect();
            Walk {
                label: labels.method(method),
                mean: of("step_mean").iter().map(|row| row.value).collect(),
                sd,
            }
        };
        let walks: Vec<Walk> = methods.iter().map(walk).collect();
        let (part, caption) = (part.clone(), caption.to_owned());
        Ok((!walks.is_empty()).then_some(Self { walks, n_steps, part, caption }))
    }

    fn panel(&self, at: usize, quantity: Quantity) -> Panel {
        let walk = &self.walks[at];
        let left = LEFT + at as f64 * (WIDTH + BETWEEN);
        let last = f64::from(self.n_steps.saturating_sub(1)).max(1.0);
        let (top, height) = match quantity {
            Quantity::Mean => UPPER,
            Quantity::Spread => LOWER,
        };
        let values: Vec<f64> = match quantity {
            Quantity::Mean => {
                let both = walk.mean.iter().zip(&walk.sd);
                both.flat_map(|(mean, (sd, _))| [mean - sd, mean + sd]).collect()
            }
            Quantity::Spread => {
                walk.sd.iter().flat_map(|(sd, se)| [sd - Z95 * se, sd + Z95 * se]).collect()
            }
        };
        Panel {
            place: (left, top, WIDTH, height),
            x: Axis::fixed(0.0, last, 5),
            y: Axis::covering(values.into_iter().chain([0.0]), 5),
        }
    }

    fn draw_panel<B: Backend>(
        &self,
        canvas: &mut Canvas<B>,
        at: usize,
        quantity: Quantity,
    ) -> Result<(), String> {
        let (walk, panel) = (&self.walks[at], self.panel(at, quantity));
        let (first, last) = (f64::from(*self.part.start()), f64::from(*self.part.end()));
        let (low, high) = (panel.y.low, panel.y.high);
        let corners = [(first, low), (last, low), (last, high), (first, high)];
        let shade = corners.map(|(x, y)| panel.point(x, y));
        canvas.fill(&shade, style::colour(4), 0.22)?;
        let labels = match quantity {
            Quantity::Mean => TickLabels::Below,
            Quantity::Spread => TickLabels::Shown,
        };
        panel.draw_axes(canvas, labels, |x| panel.x.label(x))?;
        let spread: Vec<f64> = walk.sd.iter().map(|(sd, _)| *sd).collect();
        let (line, half): (&[f64], Vec<f64>) = match quantity {
            Quantity::Mean => (&walk.mean, spread),
            Quantity::Spread => (&spread, walk.sd.iter().map(|(_, se)| Z95 * se).collect()),
        };
        let edge = |sign: f64| -> Vec<(f64, f64)> {
            let both = (0_u32..).zip(line.iter().zip(&half));
            both.map(|(i, (y, half))| panel.point(f64::from(i), y + sign * half)).collect()
        };
        let mut band = edge(1.0);
        band.extend(edge(-1.0).into_iter().rev());
        canvas.fill(&band, style::colour(0), 0.25)?;
        canvas.line(&edge(0.0), Stroke::solid(style::colour(0), 2.0))?;
        if quantity == Quantity::Spread {
            let peak = edge(0.0).into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
            if let Some(point) = peak {
                canvas.marker(point, Marker::Diamond, 4.0, style::colour(1))?;
            }
            panel.draw_x_name(canvas, "step (0: pure noise)")?;
        }
        let name = match quantity {
            Quantity::Mean => "sum of the map: mean ± sd",
            Quantity::Spread => "sd over images, 95 %",
        };
        panel.draw_y_name(canvas, name, 62.0)
    }
}

impl Figure for StepSpread {
    fn name(&self) -> &'static str {
        "step-uncertainty"
    }

    fn title(&self) -> String {
        "Uncertainty of every step, over images".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let n = self.walks.len() as f64;
        let width = LEFT + n * WIDTH + (n - 1.0) * BETWEEN + RIGHT;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = (width.max(640.0) as u32, HEIGHT as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        canvas.text((24.0, 24.0), &self.title(), Anchor::Start, (style::TITLE, style::INK))?;
        let (first, last) = (self.part.start(), self.part.end());
        let words = format!(
            "{}; shaded: steps {first} to {last}, where the paper sees the largest spread; diamond: where it is",
            self.caption
        );
        canvas.text((24.0, 44.0), &words, Anchor::Start, (style::SMALL, style::SOFT_INK))?;
        for (at, walk) in self.walks.iter().enumerate() {
            let left = self.panel(at, Quantity::Mean).place.0;
            let place = (left, UPPER.0 - 12.0);
            canvas.text(place, &walk.label, Anchor::Start, (style::LABEL, style::INK))?;
            self.draw_panel(canvas, at, Quantity::Mean)?;
            self.draw_panel(canvas, at, Quantity::Spread)?;
        }
        Ok(())
    }
}
