//! Linear axes with round ticks, and the panel that they span.

use plotters::prelude::DrawingBackend;

use super::canvas::{Anchor, Canvas, Stroke};
use super::style;
use crate::report::number;

/// A linear axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Value at the low end.
    pub low: f64,
    /// Value at the high end.
    pub high: f64,
    /// Values with a label, ascending.
    pub ticks: Vec<f64>,
    /// Decimals of the labels.
    pub decimals: usize,
}

impl Axis {
    /// An axis that covers all finite `values` and ends on ticks; 0 to 1 where there are none.
    pub fn covering(values: impl IntoIterator<Item = f64>, n_ticks: u32) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high <= low {
            let margin = if low == 0.0 { 1.0 } else { 0.05 * low.abs() };
            (low, high) = (low - margin, high + margin);
        }
        let step = round_step((high - low) / f64::from(n_ticks.max(1)));
        let axis = Self::between(low, high, step);
        let (first, last) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low: first, high: last, ..axis.with_ticks(first, last, step) }
    }

    /// An axis with fixed ends and round ticks between them.
    pub fn fixed(low: f64, high: f64, n_ticks: u32) -> Self {
        let step = round_step((high - low) / f64::from(n_ticks.max(1)));
        Self::between(low, high, step).with_ticks(low, high, step)
    }

    fn between(low: f64, high: f64, step: f64) -> Self {
        let is_whole = |decimals: &i32| {
            let scaled = step * 10f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled.abs()
        };
        let decimals = (0..8).find(is_whole).unwrap_or(8);
        Self { low, high, ticks: Vec::new(), decimals: usize::try_from(decimals).unwrap_or(8) }
    }

    fn with_ticks(mut self, low: f64, high: f64, step: f64) -> Self {
        let mut i = (low / step - 1e-6).ceil();
        while i * step <= high + 1e-6 * step {
            self.ticks.push(i * step);
            i += 1.0;
        }
        self
    }

    /// Place of a value: 0 at the low end, 1 at the high end.
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// Text of a tick.
    pub fn label(&self, tick: f64) -> String {
        number::fixed(tick, self.decimals).unwrap_or_default()
    }
}

/// Smallest of 1, 2, 2.5, 5 times a power of ten that is not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| f * power >= rough * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// A rectangle with two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Left, top, width, height of the data area.
    pub place: (f64, f64, f64, f64),
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
}

/// Whether the horizontal axis carries labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickLabels {
    /// Ticks and their values.
    Shown,
    /// Grid lines alone: a panel below carries the labels.
    Below,
}

impl Panel {
    /// Point of a pair of values.
    pub fn point(&self, x: f64, y: f64) -> (f64, f64) {
        let (left, top, width, height) = self.place;
        (left + self.x.place(x) * width, top + (1.0 - self.y.place(y)) * height)
    }

    /// Grid lines and tick labels; draw it before the data.
    ///
    /// # Errors
    /// The backend's message.
    pub fn draw_axes<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        x_labels: TickLabels,
        x_text: impl Fn(f64) -> String,
    ) -> Result<(), String> {
        let (left, top, width, height) = self.place;
        let grid = Stroke::solid(style::GRID, 0.8);
        let look = (style::SMALL, style::INK);
        for tick in &self.y.ticks {
            let (_, y) = self.point(self.x.low, *tick);
            canvas.line(&[(left, y), (left + width, y)], grid)?;
            let text = self.y.label(*tick);
            canvas.text((left - 6.0, y + 0.36 * style::SMALL), &text, Anchor::End, look)?;
        }
        for tick in &self.x.ticks {
            let (x, _) = self.point(*tick, self.y.low);
            canvas.line(&[(x, top), (x, top + height)], grid)?;
            if x_labels == TickLabels::Shown {
                let y = top + height + 6.0 + 0.8 * style::SMALL;
                canvas.text((x, y), &x_text(*tick), Anchor::Middle, look)?;
            }
        }
        let axis = Stroke::solid(style::SOFT_INK, 1.0);
        canvas.line(&[(left, top), (left, top + height), (left + width, top + height)], axis)
    }

    /// Name of the vertical axis, `gap` left of the data area.
    ///
    /// # Errors
    /// The backend's message.
    pub fn draw_y_name<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        name: &str,
        gap: f64,
    ) -> Result<(), String> {
        let (left, top, _, height) = self.place;
        canvas.text_upwards((left - gap, top + height / 2.0), name, (style::LABEL, style::INK))
    }

    /// Name of the horizontal axis, below its tick labels.
    ///
    /// # Errors
    /// The backend's message.
    pub fn draw_x_name<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        name: &str,
    ) -> Result<(), String> {
        let (left, top, width, height) = self.place;
        let point = (left + width / 2.0, top + height + 22.0 + style::LABEL);
        canvas.text(point, name, Anchor::Middle, (style::LABEL, style::INK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_on_round_ticks_and_cover_the_data() {
        let axis = Axis::covering([13.21, 14.77, f64::NAN], 5);
        assert_eq!((axis.low, axis.high), (13.0, 15.0));
        let labels: Vec<String> = axis.ticks.iter().map(|tick| axis.label(*tick)).collect();
        assert_eq!(labels, ["13.0", "13.5", "14.0", "14.5", "15.0"]);
    }

    #[test]
    fn quarters_are_written_in_full() {
        let axis = Axis::covering([0.0, 1.0], 4);
        assert_eq!(axis.label(axis.ticks[1]), "0.25");
    }

    #[test]
    fn one_value_and_no_value_still_make_an_axis() {
        for values in [vec![3.0], vec![0.0], vec![]] {
            let axis = Axis::covering(values, 5);
            assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{axis:?}");
        }
    }

    #[test]
    fn a_panel_puts_low_values_at_the_bottom_left() {
        let panel = Panel {
            place: (10.0, 20.0, 100.0, 50.0),
            x: Axis::fixed(0.0, 1.0, 2),
            y: Axis::fixed(0.0, 2.0, 2),
        };
        assert_eq!(panel.point(0.0, 0.0), (10.0, 70.0));
        assert_eq!(panel.point(1.0, 2.0), (110.0, 20.0));
    }
}
