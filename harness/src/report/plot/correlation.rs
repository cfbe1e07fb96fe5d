//! Rank correlations of all scores: the lower triangle as a heat map, every cell with its number.

use plotters::prelude::DrawingBackend;

use super::Figure;
use super::canvas::{Anchor, Canvas, Stroke, text_width};
use super::style;
use crate::report::{ReportError, number};

const CELL: (f64, f64) = (66.0, 44.0);
const TOP: f64 = 40.0;
const MARGIN: f64 = 24.0;
const SCALE_HEIGHT: f64 = 62.0;

/// Symmetric table of rank correlations.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlations {
    /// What is correlated, as readers see it.
    pub methods: Vec<String>,
    /// `value[i][j]` in [-1, 1]: method `i` with method `j`; 1 on the diagonal, `None` where not measured.
    pub value: Vec<Vec<Option<f64>>>,
}

/// The figure. The diagonal carries the names: each serves its row to the left and its column below.
#[derive(Clone, Debug, PartialEq)]
pub struct CorrelationMap {
    correlations: Correlations,
    width: f64,
}

impl CorrelationMap {
    /// Lays the figure out.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a correlation outside [-1, 1].
    pub fn new(correlations: Correlations) -> Result<Self, ReportError> {
        for (method, row) in correlations.methods.iter().zip(&correlations.value) {
            if let Some(rho) =
                row.iter().flatten().find(|rho| !(-1.000_001..=1.000_001).contains(*rho))
            {
                return Err(ReportError::Value {
                    place: format!("rank correlations of {method}"),
                    got: rho.to_string(),
                    expected: "a number in [-1, 1]".to_owned(),
                    remedy: "run `dubench evaluate` again".to_owned(),
                });
            }
        }
        super::font::register()
            .map_err(|cause| ReportError::Plot { name: "correlation".to_owned(), cause })?;
        let ends = correlations.methods.iter().enumerate().map(|(i, method)| {
            let name = text_width(method, style::LABEL).unwrap_or(120.0);
            MARGIN + i as f64 * CELL.0 + 10.0 + name + MARGIN
        });
        let width = ends.fold(440.0, f64::max);
        Ok(Self { correlations, width })
    }

    fn corner(row: usize, column: usize) -> (f64, f64) {
        (MARGIN + column as f64 * CELL.0, TOP + row as f64 * CELL.1)
    }

    fn draw_cell<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        row: usize,
        column: usize,
    ) -> Result<(), String> {
        let (x, y) = Self::corner(row, column);
        let place = (x + 1.0, y + 1.0, CELL.0 - 2.0, CELL.1 - 2.0);
        let centre = (x + CELL.0 / 2.0, y + CELL.1 / 2.0 + 0.36 * style::LABEL);
        let Some(rho) = self.correlations.value[row][column] else {
            canvas.frame(place, Stroke::solid(style::GRID, 1.0))?;
            return canvas.text(centre, "–", Anchor::Middle, (style::LABEL, style::SOFT_INK));
        };
        let colour = style::diverging(rho);
        canvas.block(place, colour)?;
        let ink = if style::luminance(colour) < 0.5 { style::PAPER } else { style::INK };
        let text = number::fixed(rho, 2).unwrap_or_default();
        canvas.text(centre, &text, Anchor::Middle, (style::LABEL, ink))
    }

    fn draw_scale<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let (_, bottom) = Self::corner(self.correlations.methods.len(), 0);
        let (y, length, n) = (bottom + 14.0, 240.0, 60);
        let step = length / f64::from(n);
        for i in 0..n {
            let rho = -1.0 + 2.0 * (f64::from(i) + 0.5) / f64::from(n);
            // Half a pixel more, so that no hairline shows between two blocks.
            let place = (MARGIN + f64::from(i) * step, y, step + 0.5, 10.0);
            canvas.block(place, style::diverging(rho))?;
        }
        for (at, text, anchor) in [
            (0.0, "−1: opposite order", Anchor::Start),
            (0.5, "0", Anchor::Middle),
            (1.0, "1: same order", Anchor::End),
        ] {
            let point = (MARGIN + at * length, y + 12.0 + style::SMALL);
            canvas.text(point, text, anchor, (style::SMALL, style::SOFT_INK))?;
        }
        Ok(())
    }
}

impl Figure for CorrelationMap {
    fn name(&self) -> &'static str {
        "correlation"
    }

    fn title(&self) -> String {
        "Rank correlation of the scores (Spearman's ρ)".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let (_, bottom) = Self::corner(self.correlations.methods.len(), 0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "hundreds of pixels"
        )]
        let size = (self.width.ceil() as u32, (bottom + SCALE_HEIGHT).ceil() as u32);
        size
    }

    fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 22.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        for (row, method) in self.correlations.methods.iter().enumerate() {
            for column in 0..row {
                self.draw_cell(canvas, row, column)?;
            }
            let (x, y) = Self::corner(row, row);
            let point = (x + 8.0, y + CELL.1 / 2.0 + 0.36 * style::LABEL);
            canvas.text(point, method, Anchor::Start, (style::LABEL, style::INK))?;
        }
        self.draw_scale(canvas)
    }
}
