//! The sweep over strength and percentile as a heat map, every cell with its number.

use super::input::Cell;
use crate::report::plot::canvas::{Anchor, Canvas, Stroke};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, number};

const TILE: (f64, f64) = (112.0, 56.0);
const LEFT: f64 = 96.0;
const TOP: f64 = 62.0;
const MARGIN: f64 = 24.0;
const FOOT: f64 = 70.0;
/// Standard errors at the end of the colour scale, at least: a difference inside its noise is pale.
const NOISE: f64 = 5.0;

/// The figure: rows are strengths, columns percentiles.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SweepMap {
    lambdas: Vec<f64>,
    percentiles: Vec<f64>,
    cells: Vec<Cell>,
    /// End of the colour scale: the largest absolute difference, or where all are noise a multiple of their errors.
    largest: f64,
}

impl SweepMap {
    /// Sorts the cells; `None` without any.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a difference that is not finite.
    pub(super) fn new(cells: &[Cell]) -> Result<Option<Self>, ReportError> {
        if let Some(bad) = cells.iter().find(|cell| !cell.delta.is_finite() || !cell.se.is_finite())
        {
            return Err(ReportError::Value {
                place: format!("sweep, lambda {}, percentile {}", bad.lambda, bad.percentile),
                got: format!("{} ± {}", bad.delta, bad.se),
                expected: "a finite difference and error".to_owned(),
                remedy: "run `dubench evaluate` again".to_owned(),
            });
        }
        let sorted = |pick: fn(&Cell) -> f64| {
            let mut values: Vec<f64> = cells.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values
        };
        let largest = cells
            .iter()
            .fold(0.0_f64, |most, cell| most.max(cell.delta.abs()).max(NOISE * cell.se));
        Ok((!cells.is_empty()).then(|| Self {
            lambdas: sorted(|cell| cell.lambda),
            percentiles: sorted(|cell| cell.percentile),
            cells: cells.to_vec(),
            largest: largest.max(f64::MIN_POSITIVE),
        }))
    }

    fn draw_cell<B: Backend>(
        &self,
        canvas: &mut Canvas<B>,
        (row, column): (usize, usize),
    ) -> Result<(), String> {
        let (x, y) = (LEFT + column as f64 * TILE.0, TOP + row as f64 * TILE.1);
        let place = (x + 1.0, y + 1.0, TILE.0 - 2.0, TILE.1 - 2.0);
        let here = |cell: &&Cell| {
            cell.lambda == self.lambdas[row] && cell.percentile == self.percentiles[column]
        };
        let Some(cell) = self.cells.iter().find(here) else {
            return canvas.frame(place, Stroke::solid(style::GRID, 1.0));
        };
        let colour = style::diverging(cell.delta / self.largest);
        canvas.block(place, colour)?;
        let ink = if style::luminance(colour) < 0.5 { style::PAPER } else { style::INK };
        let text = number::signed_with_error(cell.delta, Some(cell.se)).unwrap_or_default();
        let (value, error) = text.split_once(" ± ").unwrap_or((&text, ""));
        let middle = x + TILE.0 / 2.0;
        let value = format!("{value} {}", number::stars(cell.p));
        canvas.text((middle, y + 26.0), value.trim_end(), Anchor::Middle, (style::LABEL, ink))?;
        let error = format!("± {error}");
        canvas.text((middle, y + 42.0), &error, Anchor::Middle, (style::SMALL, ink))
    }
}

impl Figure for SweepMap {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn title(&self) -> String {
        "ΔFID to unguided by strength and percentile".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = (LEFT + self.percentiles.len() as f64 * TILE.0 + MARGIN).max(420.0);
        let height = TOP + self.lambdas.len() as f64 * TILE.1 + FOOT;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundreds")]
        let size = (width as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 24.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let first = &self.cells[0];
        let note = format!(
            "{}, {} pairs; blue: guidance is better",
            first.sampler,
            number::count(first.n)
        );
        canvas.text((MARGIN, 42.0), &note, Anchor::Start, (style::SMALL, style::SOFT_INK))?;
        let look = (style::LABEL, style::INK);
        for (row, lambda) in self.lambdas.iter().enumerate() {
            let y = TOP + (row as f64 + 0.5) * TILE.1 + 4.0;
            let text = format!("λ = {}", number::exact(*lambda).unwrap_or_default());
            canvas.text((LEFT - 10.0, y), &text, Anchor::End, look)?;
            for column in 0..self.percentiles.len() {
                self.draw_cell(canvas, (row, column))?;
            }
        }
        let bottom = TOP + self.lambdas.len() as f64 * TILE.1;
        for (column, percentile) in self.percentiles.iter().enumerate() {
            let x = LEFT + (column as f64 + 0.5) * TILE.0;
            canvas.text((x, bottom + 18.0), &percentile.to_string(), Anchor::Middle, look)?;
        }
        let x = LEFT + self.percentiles.len() as f64 * TILE.0 / 2.0;
        canvas.text((x, bottom + 40.0), "percentile of the mask", Anchor::Middle, look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_by_strength_and_percentile() {
        let cell = |lambda, percentile| Cell {
            kid: None,
            lambda,
            percentile,
            sampler: "ddim-5".into(),
            delta: lambda - percentile,
            se: 0.1,
            delta_inf: 0.1,
            delta_inf_se: None,
            n_draws: Some(3),
            p: 0.2,
            n: 64,
        };
        let figure =
            SweepMap::new(&[cell(1.0, 0.9), cell(0.1, 0.5), cell(1.0, 0.5)]).unwrap().unwrap();
        assert_eq!(
            (figure.lambdas.clone(), figure.percentiles.clone()),
            (vec![0.1, 1.0], vec![0.5, 0.9])
        );
        assert_eq!(crate::report::plot::files(&figure).unwrap().len(), 2);
        assert!((figure.largest - 0.5).abs() < 1e-12, "five errors of 0.1, {}", figure.largest);
        let mut bad = cell(1.0, 0.9);
        bad.delta = f64::INFINITY;
        assert!(SweepMap::new(&[bad]).is_err());
        assert_eq!(SweepMap::new(&[]).unwrap(), None);
    }
}
