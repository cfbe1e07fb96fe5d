//! The released evaluation taken apart: what AUSE and AURG become as its steps are taken out.

use super::CHANCE;
use super::audit::Rung;
use crate::config::published::PublishedTable;
use crate::protocol::rows::Z95;
use crate::report::plot::axes::{Axis, Panel, TickLabels};
use crate::report::plot::canvas::{Anchor, Canvas, Marker, Stroke, text_width};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{Labels, ReportError, label};
use crate::store::records::MetricRow;

const LEFT: f64 = 70.0;
const TOP: f64 = 58.0;
const PANEL: (f64, f64) = (560.0, 190.0);
const STEP: f64 = 232.0;
const LEGEND: f64 = 200.0;
const FOOT: f64 = 48.0;
/// Least distance of two notes on published values.
const NOTE: f64 = 15.0;
/// Panels, top to bottom: metric, words.
const METRICS: [(&str, &str); 2] =
    [("ause", "AUSE, lower is better"), ("aurg", "AURG, higher is better")];

/// The figure: one panel a metric, one column a rung.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Audit {
    methods: Vec<String>,
    labels: Labels,
    /// Metric, method, rung, value, half width.
    points: Vec<(usize, usize, usize, f64, f64)>,
    /// Metric, value, name: what the paper prints for CIFAR-10.
    published: Vec<(usize, f64, String)>,
}

impl Audit {
    /// Collects the rows of the audit; `None` without any.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a value that is not finite.
    pub(super) fn new(
        rows: &[MetricRow],
        labels: &Labels,
        published: Option<&PublishedTable>,
    ) -> Result<Option<Self>, ReportError> {
        let labels = labels.clone();
        let (methods, points, published_values) = (Vec::new(), Vec::new(), Vec::new());
        let mut figure = Self { methods, labels, points, published: published_values };
        for row in rows.iter().filter(|row| row.argument.as_deref() == Some("audit")) {
            let metric = METRICS.iter().position(|(name, ..)| *name == row.metric);
            let rung = Rung::ALL.iter().position(|rung| row.side.as_deref() == Some(rung.as_str()));
            let (Some(metric), Some(rung)) = (metric, rung) else { continue };
            let Some(value) = row.value.filter(|value| value.is_finite()) else {
                return Err(ReportError::Value {
                    place: format!("audit of {}", row.method),
                    got: format!("{:?}", row.value),
                    expected: "a finite area".to_owned(),
                    remedy: "run `dubench evaluate` again".to_owned(),
                });
            };
            if !figure.methods.contains(&row.method) {
                figure.methods.push(row.method.clone());
            }
            let method = figure.methods.iter().position(|name| *name == row.method).unwrap_or(0);
            figure.points.push((metric, method, rung, value, Z95 * row.se.unwrap_or(0.0)));
        }
        if figure.points.is_empty() {
            return Ok(None);
        }
        figure.published = printed(published);
        Ok(Some(figure))
    }

    fn panel(&self, metric: usize) -> Panel {
        let here = self.points.iter().filter(|point| point.0 == metric);
        let ends = here.flat_map(|(.., value, half)| [value - half, value + half]);
        let printed = self.published.iter().filter(|point| point.0 == metric).map(|point| point.1);
        let x =
            Axis { low: -0.5, high: Rung::ALL.len() as f64 - 0.5, ticks: Vec::new(), decimals: 0 };
        let place = (LEFT, TOP + metric as f64 * STEP, PANEL.0, PANEL.1);
        Panel { place, x, y: Axis::covering(ends.chain(printed).chain([0.0]), 5) }
    }

    fn draw_panel<B: Backend>(&self, canvas: &mut Canvas<B>, metric: usize) -> Result<(), String> {
        let panel = self.panel(metric);
        panel.draw_axes(canvas, TickLabels::Below, |_| String::new())?;
        let (left, top, width, height) = panel.place;
        let look = (style::LABEL, style::INK);
        canvas.text((left, top - 8.0), METRICS[metric].1, Anchor::Start, look)?;
        let mut printed: Vec<(f64, &str)> = self
            .published
            .iter()
            .filter(|point| point.0 == metric)
            .map(|(_, value, name)| (panel.point(0.0, *value).1, name.as_str()))
            .collect();
        printed.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut below = f64::INFINITY;
        for (y, name) in printed {
            let dotted = Stroke { colour: style::SOFT_INK, width: 1.0, dash: Some((2.0, 3.0)) };
            canvas.line(&[(left, y), (left + width, y)], dotted)?;
            below = y.min(below - NOTE);
            let note = (style::SMALL, style::SOFT_INK);
            canvas.text((left + width + 8.0, below + 3.0), name, Anchor::Start, note)?;
        }
        let spread = 0.16;
        for (_, method, rung, value, half) in self.points.iter().filter(|p| p.0 == metric) {
            let shift = *method as f64 - (self.methods.len() as f64 - 1.0) / 2.0;
            let x = *rung as f64 + spread * shift;
            let colour = self.colour(*method);
            let bar = [panel.point(x, value - half), panel.point(x, value + half)];
            canvas.line(&bar, Stroke::solid(colour, 1.4))?;
            canvas.marker(panel.point(x, *value), Marker::of(*method), 4.2, colour)?;
        }
        if metric + 1 == METRICS.len() {
            for (i, rung) in Rung::ALL.iter().enumerate() {
                let (x, _) = panel.point(i as f64, panel.y.low);
                let at = (x, top + height + 18.0);
                canvas.text(at, rung.describe(), Anchor::Middle, (style::SMALL, style::INK))?;
            }
        }
        Ok(())
    }

    fn colour(&self, method: usize) -> style::Colour {
        match self.methods.get(method).map(String::as_str) {
            Some(CHANCE) => style::RANDOM,
            _ => style::colour(method),
        }
    }
}

/// What the paper prints for CIFAR-10.
fn printed(published: Option<&PublishedTable>) -> Vec<(usize, f64, String)> {
    let setting = published
        .and_then(|table| table.settings.iter().find(|setting| setting.dataset == "CIFAR-10"));
    let Some(setting) = setting else { return Vec::new() };
    let mut out = Vec::new();
    for (metric, (key, _)) in METRICS.iter().enumerate() {
        for (method, value) in setting.values.get(*key).into_iter().flatten() {
            if let Some(value) = value {
                out.push((metric, *value, format!("paper: {} {value}", label::kind(method))));
            }
        }
    }
    out
}

impl Figure for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn title(&self) -> String {
        "The released evaluation, taken apart: same maps, same reconstructions".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let (width, height) = (LEFT + PANEL.0 + LEGEND, TOP + STEP + PANEL.1 + FOOT);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "constants")]
        let size = (width as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((LEFT, 22.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let mut x = LEFT + 190.0;
        for (i, name) in self.methods.iter().enumerate() {
            canvas.marker((x, TOP - 12.0), Marker::of(i), 4.2, self.colour(i))?;
            let look = (style::LABEL, style::INK);
            let name = self.labels.method(name);
            canvas.text((x + 10.0, TOP - 8.0), &name, Anchor::Start, look)?;
            x += 22.0 + text_width(&name, style::LABEL)?;
        }
        (0..METRICS.len()).try_for_each(|metric| self.draw_panel(canvas, metric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_of_every_method_is_a_point() {
        let mut rows = Vec::new();
        for method in ["centered", CHANCE] {
            for rung in Rung::ALL {
                for (metric, ..) in METRICS {
                    let mut row = crate::protocol::filtering::example::rows().remove(0);
                    row.method = method.to_owned();
                    row.metric = metric.to_owned();
                    row = row.of("audit").on(rung.as_str());
                    rows.push(row);
                }
            }
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/published/table2.yaml");
        let published = PublishedTable::read(std::path::Path::new(path)).unwrap();
        let labels = Labels::default();
        let figure = Audit::new(&rows, &labels, Some(&published)).unwrap().unwrap();
        assert_eq!((figure.points.len(), figure.published.len()), (20, 4));
        assert_eq!(crate::report::plot::files(&figure).unwrap().len(), 2);
        rows[0].value = Some(f64::NAN);
        assert!(Audit::new(&rows, &labels, None).is_err());
        assert_eq!(Audit::new(&[], &labels, None).unwrap(), None);
    }
}
