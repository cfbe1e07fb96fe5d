//! Sparsification curves: the error of what is kept, by the fraction that a method removes first.

use super::{CHANCE, ORACLE};
use crate::protocol::rows::Z95;
use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Stroke};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{Labels, ReportError};
use crate::store::records::CurveRow;

const LEFT: f64 = 66.0;
const TOP: f64 = 56.0;
const PANEL: (f64, f64) = (360.0, 300.0);
const BETWEEN: f64 = 62.0;
const LEGEND: f64 = 190.0;
const BELOW: f64 = 54.0;
/// Panels, left to right.
const SIDES: [(&str, &str); 2] =
    [("as_is", "high values removed first"), ("inverted", "low values removed first")];

/// One point: fraction removed, RMSE, half width of the band.
type Point = (f64, f64, f64);

/// One method's curve.
#[derive(Clone, Debug, PartialEq)]
struct Curve {
    method: String,
    side: String,
    points: Vec<Point>,
}

/// The figure: one panel a polarity, 95 % bands over images.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SparsificationCurves {
    curves: Vec<Curve>,
    /// Methods with a colour: all but oracle and chance.
    methods: Vec<String>,
    labels: Labels,
    n: u64,
}

impl SparsificationCurves {
    /// Sorts the rows into curves; `None` without rows.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a value that is not finite.
    pub(super) fn new(rows: &[CurveRow], labels: &Labels) -> Result<Option<Self>, ReportError> {
        let Some(first) = rows.first() else { return Ok(None) };
        let labels = labels.clone();
        let (curves, methods) = (Vec::new(), Vec::new());
        let mut figure = Self { curves, methods, labels, n: first.n };
        for row in rows {
            if !row.value.is_finite() {
                return Err(ReportError::Value {
                    place: format!("sparsification curve of {} ({})", row.method, row.side),
                    got: format!("RMSE {}", row.value),
                    expected: "a finite RMSE".to_owned(),
                    remedy: "run `dubench evaluate` again".to_owned(),
                });
            }
            let point = (row.x, row.value, Z95 * row.se.unwrap_or(0.0));
            let known = |curve: &&mut Curve| curve.method == row.method && curve.side == row.side;
            match figure.curves.iter_mut().find(known) {
                Some(curve) => curve.points.push(point),
                None => figure.curves.push(Curve {
                    method: row.method.clone(),
                    side: row.side.clone(),
                    points: vec![point],
                }),
            }
            let coloured = row.method != ORACLE && row.method != CHANCE;
            if coloured && !figure.methods.contains(&row.method) {
                figure.methods.push(row.method.clone());
            }
        }
        Ok(Some(figure))
    }

    fn panel(&self, at: usize) -> Panel {
        let values = self.curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        Panel {
            place: (LEFT + at as f64 * (PANEL.0 + BETWEEN), TOP, PANEL.0, PANEL.1),
            x: Axis::fixed(0.0, 1.0, 5),
            y: Axis::covering(values.chain([0.0]), 6),
        }
    }

    /// Oracle and chance have one polarity and stand in both panels.
    fn in_panel(&self, side: &str) -> impl Iterator<Item = &Curve> {
        self.curves.iter().filter(move |curve| {
            curve.side == side || matches!(curve.method.as_str(), ORACLE | CHANCE)
        })
    }

    fn stroke(&self, method: &str) -> Stroke {
        match method {
            ORACLE => Stroke { colour: style::INK, width: 1.4, dash: Some((5.0, 4.0)) },
            CHANCE => Stroke { colour: style::RANDOM, width: 1.4, dash: Some((1.5, 3.0)) },
            _ => {
                let place = self.methods.iter().position(|known| known == method);
                Stroke::solid(style::colour(place.unwrap_or(0)), 1.8)
            }
        }
    }

    fn draw_panel<B: Backend>(&self, canvas: &mut Canvas<B>, at: usize) -> Result<(), String> {
        let (side, words) = SIDES[at];
        let panel = self.panel(at);
        panel.draw_axes(canvas, TickLabels::Shown, |x| format!("{:.0} %", (100.0 * x).abs()))?;
        let (left, top, ..) = panel.place;
        let look = (style::LABEL, style::INK);
        canvas.text((left, top - 8.0), words, Anchor::Start, look)?;
        for curve in self.in_panel(side) {
            let stroke = self.stroke(&curve.method);
            let edge = |sign: f64| {
                let place = move |(x, y, half): &Point| (*x, y + sign * half);
                curve.points.iter().map(place).map(|(x, y)| panel.point(x, y.max(panel.y.low)))
            };
            let mut band: Vec<(f64, f64)> = edge(1.0).collect();
            band.extend(edge(-1.0).rev());
            if band.len() > 2 {
                canvas.fill(&band, stroke.colour, 0.16)?;
            }
            canvas.line(&edge(0.0).collect::<Vec<_>>(), stroke)?;
        }
        panel.draw_x_name(canvas, "fraction of the elements of an image removed")
    }

    fn draw_legend<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let left = LEFT + 2.0 * PANEL.0 + BETWEEN + 20.0;
        let mut y = TOP + 10.0;
        let names = self.methods.iter().map(String::as_str).chain([CHANCE, ORACLE]);
        for name in names {
            let key = [(left, y - 4.0), (left + 28.0, y - 4.0)];
            canvas.line(&key, self.stroke(name))?;
            let look = (style::LABEL, style::INK);
            canvas.text((left + 36.0, y), &self.labels.method(name), Anchor::Start, look)?;
            y += 21.0;
        }
        let note = (style::SMALL, style::SOFT_INK);
        canvas.text((left, y + 12.0), "band: 95 % over", Anchor::Start, note)?;
        let n = format!("{} images", crate::report::number::count(self.n));
        canvas.text((left, y + 27.0), &n, Anchor::Start, note)
    }
}

impl Figure for SparsificationCurves {
    fn name(&self) -> &'static str {
        "sparsification"
    }

    fn title(&self) -> String {
        "Reconstruction error of what is kept".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = LEFT + 2.0 * PANEL.0 + BETWEEN + LEGEND;
        let height = TOP + PANEL.1 + BELOW;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "constants")]
        let size = (width as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((LEFT, 22.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        for at in 0..SIDES.len() {
            self.draw_panel(canvas, at)?;
        }
        self.panel(0).draw_y_name(canvas, "RMSE of what is kept, grey levels", 44.0)?;
        self.draw_legend(canvas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<CurveRow> {
        let mut rows = Vec::new();
        for (method, side) in
            [("sample_var", "as_is"), ("sample_var", "inverted"), (ORACLE, "as_is")]
        {
            for k in 0..=4_u8 {
                rows.push(CurveRow {
                    arm: "corrected".into(),
                    method: method.into(),
                    side: side.into(),
                    metric: "rmse".into(),
                    x: f64::from(k) / 4.0,
                    value: 20.0 - f64::from(k),
                    se: Some(0.5),
                    n: 9,
                });
            }
        }
        rows
    }

    #[test]
    fn the_oracle_stands_in_both_panels() {
        let figure = SparsificationCurves::new(&rows(), &Labels::of(&[])).unwrap().unwrap();
        for (side, _) in SIDES {
            let names: Vec<&str> = figure.in_panel(side).map(|c| c.method.as_str()).collect();
            assert_eq!(names, ["sample_var", ORACLE], "{side}");
        }
        assert_eq!(crate::report::plot::files(&figure).unwrap().len(), 2);
    }

    #[test]
    fn no_rows_make_no_figure_and_nan_none_either() {
        assert_eq!(SparsificationCurves::new(&[], &Labels::of(&[])).unwrap(), None);
        let mut bad = rows();
        bad[2].value = f64::NAN;
        assert!(SparsificationCurves::new(&bad, &Labels::of(&[])).is_err());
    }
}
