//! FID of what is left after discarding a fraction of the pool by each score, beside random subsets.

use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Marker, Stroke};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{Labels, ReportError, number};
use crate::store::records::CurveRow;

/// The paper discards 10,000 of 60,000 images.
const PAPER_FRACTION: f64 = 1.0 / 6.0;
/// Half width of a normal 95 % interval in standard deviations.
const NORMAL_95: f64 = 1.959_964;
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 690.0;
const LEFT: f64 = 78.0;
const PLOT_WIDTH: f64 = 610.0;
const UPPER: (f64, f64) = (46.0, 200.0);
const LOWER: (f64, f64) = (280.0, 346.0);

/// One point: fraction discarded, FID, spread over random subsets.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    fraction: f64,
    fid: f64,
    sd: f64,
}

impl Point {
    /// # Errors
    /// [`ReportError::Value`] for a fraction outside [0, 1) and an FID that is not finite.
    fn of(row: &CurveRow) -> Result<Self, ReportError> {
        if !(0.0..1.0).contains(&row.x) {
            let got = format!("fraction discarded {}", row.x);
            return Err(refusal(row, got, "a fraction in [0, 1)"));
        }
        if !row.value.is_finite() {
            return Err(refusal(row, format!("FID {}", row.value), "a finite FID"));
        }
        let sd = row.se.filter(|se| se.is_finite()).unwrap_or(0.0);
        Ok(Self { fraction: row.x, fid: row.value, sd })
    }
}

fn refusal(row: &CurveRow, got: String, expected: &str) -> ReportError {
    ReportError::Value {
        place: format!("filter curve of {} ({})", row.method, row.side),
        got,
        expected: expected.to_owned(),
        remedy: "run `dubench evaluate` again".to_owned(),
    }
}

/// One method in one direction.
#[derive(Clone, Debug, PartialEq)]
struct Curve {
    method: String,
    keeps_lowest: bool,
    points: Vec<Point>,
}

/// The figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FilterCurve {
    methods: Vec<String>,
    labels: Labels,
    /// Size of the pool, where a curve begins at it.
    n_pool: Option<u64>,
    curves: Vec<Curve>,
    random: Vec<Point>,
}

impl FilterCurve {
    /// Sorts the rows into curves; `None` without rows. Methods in `order` come first, in that order, so that a method
    /// has the same colour in all figures.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a fraction outside [0, 1), an FID that is not finite, an unknown side.
    pub(super) fn new(
        rows: &[CurveRow],
        (order, labels): (&[&str], &Labels),
    ) -> Result<Option<Self>, ReportError> {
        if rows.is_empty() {
            return Ok(None);
        }
        let drawn = |method: &&&str| rows.iter().any(|row| row.method == **method);
        let methods = order.iter().filter(drawn).map(|method| (*method).to_owned()).collect();
        let labels = labels.clone();
        let mut figure =
            Self { methods, labels, n_pool: None, curves: Vec::new(), random: Vec::new() };
        for row in rows {
            figure.add(row)?;
        }
        let by_fraction = |a: &Point, b: &Point| a.fraction.total_cmp(&b.fraction);
        figure.random.sort_by(by_fraction);
        for curve in &mut figure.curves {
            curve.points.sort_by(by_fraction);
        }
        Ok(Some(figure))
    }

    fn add(&mut self, row: &CurveRow) -> Result<(), ReportError> {
        let point = Point::of(row)?;
        if row.x == 0.0 {
            self.n_pool = Some(row.n);
        }
        let curve =
            |keeps_lowest| Curve { method: row.method.clone(), keeps_lowest, points: vec![point] };
        match row.side.as_str() {
            "random" => self.random.push(point),
            "lowest" => self.join(curve(true)),
            "highest" => self.join(curve(false)),
            other => {
                let got = format!("side {other}");
                return Err(refusal(row, got, "lowest, highest or random"));
            }
        }
        Ok(())
    }

    /// Adds the points to those of the same method in the same direction.
    fn join(&mut self, curve: Curve) {
        if !self.methods.contains(&curve.method) {
            self.methods.push(curve.method.clone());
        }
        let same = |known: &&mut Curve| {
            known.method == curve.method && known.keeps_lowest == curve.keeps_lowest
        };
        match self.curves.iter_mut().find(same) {
            Some(known) => known.points.extend(curve.points),
            None => self.curves.push(curve),
        }
    }

    /// Random mean at a fraction, where the random band has that point.
    fn random_mean(&self, fraction: f64) -> Option<f64> {
        let near = |point: &&Point| (point.fraction - fraction).abs() < 1e-9;
        self.random.iter().find(near).map(|point| point.fid)
    }

    /// The curve as drawn in a panel: FID itself, or FID minus the random mean.
    fn values(&self, points: &[Point], quantity: Quantity) -> Vec<(f64, f64)> {
        let value = |point: &Point| match quantity {
            Quantity::Fid => Some(point.fid),
            Quantity::AboveRandom => Some(point.fid - self.random_mean(point.fraction)?),
        };
        points.iter().filter_map(|point| Some((point.fraction, value(point)?))).collect()
    }

    fn axis(&self, quantity: Quantity) -> Axis {
        let curves = self.curves.iter().flat_map(|c| self.values(&c.points, quantity));
        let band = self.random.iter().flat_map(|point| {
            let centre = match quantity {
                Quantity::Fid => point.fid,
                Quantity::AboveRandom => 0.0,
            };
            [centre - NORMAL_95 * point.sd, centre + NORMAL_95 * point.sd]
        });
        let n_ticks = match quantity {
            Quantity::Fid => 5,
            Quantity::AboveRandom => 8,
        };
        Axis::covering(curves.map(|(_, value)| value).chain(band), n_ticks)
    }

    fn panel(&self, quantity: Quantity) -> Panel {
        let last = self
            .curves
            .iter()
            .flat_map(|curve| &curve.points)
            .chain(&self.random)
            .map(|point| point.fraction)
            .fold(PAPER_FRACTION, f64::max);
        let (top, height) = match quantity {
            Quantity::Fid => UPPER,
            Quantity::AboveRandom => LOWER,
        };
        Panel {
            place: (LEFT, top, PLOT_WIDTH, height),
            x: Axis::fixed(0.0, last * 1.02, 8),
            y: self.axis(quantity),
        }
    }

    fn draw_panel<B: Backend>(
        &self,
        canvas: &mut Canvas<B>,
        quantity: Quantity,
    ) -> Result<(), String> {
        let panel = self.panel(quantity);
        let labels = match quantity {
            Quantity::Fid => TickLabels::Below,
            Quantity::AboveRandom => TickLabels::Shown,
        };
        panel.draw_axes(canvas, labels, |x| format!("{:.0} %", (100.0 * x).abs()))?;
        self.draw_band(canvas, &panel, quantity)?;
        let (top, bottom) = (panel.y.high, panel.y.low);
        let cut = [panel.point(PAPER_FRACTION, bottom), panel.point(PAPER_FRACTION, top)];
        let dotted = Stroke { colour: style::INK, width: 1.2, dash: Some((1.5, 3.0)) };
        canvas.line(&cut, dotted)?;
        if quantity == Quantity::Fid {
            let (x, y) = cut[1];
            let look = (style::SMALL, style::INK);
            canvas.text((x, y - 6.0), "1/6: the paper's cut", Anchor::Middle, look)?;
        }
        for curve in &self.curves {
            self.draw_curve(canvas, &panel, curve, quantity)?;
        }
        let name = match quantity {
            Quantity::Fid => "FID",
            Quantity::AboveRandom => "FID − mean of random subsets",
        };
        panel.draw_y_name(canvas, name, 56.0)
    }

    fn draw_band<B: Backend>(
        &self,
        canvas: &mut Canvas<B>,
        panel: &Panel,
        quantity: Quantity,
    ) -> Result<(), String> {
        let edge = |sign: f64| -> Vec<(f64, f64)> {
            let centres = self.values(&self.random, quantity);
            let shift = |((fraction, centre), point): ((f64, f64), &Point)| {
                panel.point(fraction, centre + sign * point.sd)
            };
            centres.into_iter().zip(&self.random).map(shift).collect()
        };
        for (width, opacity) in [(NORMAL_95, 0.18), (1.0, 0.25)] {
            let mut outline = edge(width);
            outline.extend(edge(-width).into_iter().rev());
            if outline.len() > 2 {
                canvas.fill(&outline, style::RANDOM, opacity)?;
            }
        }
        canvas.line(&edge(0.0), Stroke::solid(style::RANDOM, 1.6))
    }

    fn draw_curve<B: Backend>(
        &self,
        canvas: &mut Canvas<B>,
        panel: &Panel,
        curve: &Curve,
        quantity: Quantity,
    ) -> Result<(), String> {
        let Some(i) = self.methods.iter().position(|method| *method == curve.method) else {
            return Ok(());
        };
        let points: Vec<(f64, f64)> = self
            .values(&curve.points, quantity)
            .into_iter()
            .map(|(fraction, value)| panel.point(fraction, value))
            .collect();
        canvas.line(&points, stroke(i, curve.keeps_lowest))?;
        for point in points {
            canvas.marker(point, Marker::of(i), 3.2, style::colour(i))?;
        }
        Ok(())
    }

    fn draw_legend<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let left = LEFT + PLOT_WIDTH + 22.0;
        let mut y = UPPER.0 + 12.0;
        let look = (style::LABEL, style::INK);
        for (i, method) in self.methods.iter().enumerate() {
            canvas.line(&[(left, y - 4.0), (left + 30.0, y - 4.0)], stroke(i, true))?;
            canvas.marker((left + 15.0, y - 4.0), Marker::of(i), 3.6, style::colour(i))?;
            canvas.text((left + 38.0, y), &self.labels.method(method), Anchor::Start, look)?;
            y += 21.0;
        }
        y += 14.0;
        for (keeps_lowest, text) in [(true, "most certain kept"), (false, "least certain kept")] {
            let key = Stroke { colour: style::INK, ..stroke(0, keeps_lowest) };
            canvas.line(&[(left, y - 4.0), (left + 30.0, y - 4.0)], key)?;
            canvas.text((left + 38.0, y), text, Anchor::Start, look)?;
            y += 21.0;
        }
        if self.random.is_empty() {
            return Ok(());
        }
        y += 14.0;
        let bar = |half: f64, y: f64| {
            let (x0, x1, y) = (left, left + 30.0, y - 4.0);
            [(x0, y - half), (x1, y - half), (x1, y + half), (x0, y + half)]
        };
        canvas.fill(&bar(9.0, y + 8.0), style::RANDOM, 0.18)?;
        canvas.fill(&bar(4.6, y + 8.0), style::RANDOM, 0.25)?;
        canvas
            .line(&[(left, y + 4.0), (left + 30.0, y + 4.0)], Stroke::solid(style::RANDOM, 1.6))?;
        canvas.text((left + 38.0, y), "Random subsets:", Anchor::Start, look)?;
        let small = (style::SMALL, style::SOFT_INK);
        canvas.text((left + 38.0, y + 16.0), "mean, ± 1 sd, 95 %", Anchor::Start, small)
    }
}

/// What a panel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Fid,
    AboveRandom,
}

fn stroke(i: usize, keeps_lowest: bool) -> Stroke {
    let dash = if keeps_lowest { None } else { Some((6.0, 4.0)) };
    Stroke { colour: style::colour(i), width: 1.8, dash }
}

impl Figure for FilterCurve {
    fn name(&self) -> &'static str {
        "filter-curve"
    }

    fn title(&self) -> String {
        "FID of the images that are kept, by the fraction discarded".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "constants")]
        let size = (WIDTH as u32, HEIGHT as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((LEFT, 20.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        self.draw_panel(canvas, Quantity::Fid)?;
        if !self.random.is_empty() {
            self.draw_panel(canvas, Quantity::AboveRandom)?;
        }
        let name = match self.n_pool {
            Some(n) => {
                format!("fraction of the pool of {} images that is discarded", number::count(n))
            }
            None => "fraction of the pool that is discarded".to_owned(),
        };
        self.panel(Quantity::AboveRandom).draw_x_name(canvas, &name)?;
        self.draw_legend(canvas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::filtering::example;

    fn none<'a>() -> (&'a [&'a str], &'a Labels) {
        static NONE: std::sync::LazyLock<Labels> = std::sync::LazyLock::new(Labels::default);
        (&[], &NONE)
    }

    #[test]
    fn rows_that_cannot_be_drawn_are_refused_by_name() {
        let good = example::curves();
        let mut bad = good.clone();
        bad[3].value = f64::NAN;
        insta::assert_snapshot!(FilterCurve::new(&bad, none()).unwrap_err(), @"filter curve of centered (lowest): got FID NaN, expected a finite FID: run `dubench evaluate` again");
        let mut bad = good.clone();
        bad[3].x = 1.0;
        assert!(FilterCurve::new(&bad, none()).is_err());
        let mut bad = good;
        bad[3].side = "sideways".to_owned();
        assert!(FilterCurve::new(&bad, none()).is_err());
    }

    #[test]
    fn the_difference_to_random_is_zero_for_the_full_pool() {
        let figure =
            FilterCurve::new(&example::curves(), (&["total_variation"], &Labels::default()))
                .unwrap()
                .unwrap();
        assert_eq!(figure.methods[0], "total_variation");
        for curve in &figure.curves {
            let first = figure.values(&curve.points, Quantity::AboveRandom)[0];
            assert_eq!(first, (0.0, 0.0));
        }
    }

    #[test]
    fn no_rows_make_no_figure() {
        assert_eq!(FilterCurve::new(&[], none()).unwrap(), None);
    }
}
