//! The same starts with and without guidance, the map between them.

use image::RgbImage;
use ndarray::{Array3, Axis};

use crate::report::plot::canvas::{Anchor, Canvas, name_column};
use crate::report::plot::sheet::{coloured, photograph};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, number};

const TILE: f64 = 96.0;
const GAP: f64 = 6.0;
const NAME: &str = "pairs";
const TOP: f64 = 62.0;
const MARGIN: f64 = 24.0;

/// One line of the sheet: a name, and a tile a start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    name: String,
    tiles: Vec<Option<RgbImage>>,
}

impl Line {
    /// Images `[3, H, W]`, one a start.
    pub(super) fn of_images(name: String, images: Vec<Array3<u8>>) -> Self {
        let sound = |image: &Array3<u8>| image.dim().0 == 3 && !image.is_empty();
        let tiles = images.iter().map(|image| sound(image).then(|| photograph(image))).collect();
        Self { name, tiles }
    }

    /// Maps `[c, h, w]`, one a start, summed over channels; each has a scale of its own.
    pub(super) fn of_maps(name: String, maps: Vec<Array3<f32>>) -> Self {
        let tile = |map: &Array3<f32>| {
            let sum = map.sum_axis(Axis(0));
            (!sum.is_empty() && sum.iter().all(|value| value.is_finite())).then(|| coloured(&sum))
        };
        Self { name, tiles: maps.iter().map(tile).collect() }
    }
}

/// The figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PairsSheet {
    lines: Vec<(String, Vec<RgbImage>)>,
    n: u64,
    /// Where the tiles begin.
    left: f64,
}

impl PairsSheet {
    /// A sheet of `n` starts; `None` without any.
    ///
    /// # Errors
    /// [`ReportError::Value`] for tiles that are no images, or not one a start.
    pub(super) fn new(n: u64, lines: &[Line]) -> Result<Option<Self>, ReportError> {
        if n == 0 || lines.is_empty() {
            return Ok(None);
        }
        let mut drawn = Vec::new();
        for line in lines {
            let tiles: Vec<RgbImage> = line.tiles.iter().flatten().cloned().collect();
            if tiles.len() as u64 != n {
                return Err(ReportError::Value {
                    place: format!("tiles of {}", line.name),
                    got: format!("{} of {}", tiles.len(), line.tiles.len()),
                    expected: format!("{n} images [3, H, W], or maps of finite values"),
                    remedy: "run `dubench verify` on the work folder".to_owned(),
                });
            }
            drawn.push((line.name.clone(), tiles));
        }
        let column = name_column(lines.iter().map(|line| line.name.as_str()))
            .map_err(|cause| ReportError::Plot { name: NAME.to_owned(), cause })?;
        Ok(Some(Self { lines: drawn, n, left: MARGIN + column + 10.0 }))
    }
}

impl Figure for PairsSheet {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> String {
        "The same prompts and starts with and without guidance".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = self.left + self.n as f64 * (TILE + GAP) + MARGIN;
        let height = TOP + self.lines.len() as f64 * (TILE + GAP) + MARGIN;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
        let size = (width.max(460.0) as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 24.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        for id in 0..self.n {
            let x = self.left + id as f64 * (TILE + GAP) + TILE / 2.0;
            let head = format!("#{}", number::count(id));
            let small = (style::SMALL, style::SOFT_INK);
            canvas.text((x, TOP - 6.0), &head, Anchor::Middle, small)?;
        }
        let mut y = TOP;
        for (name, tiles) in &self.lines {
            let at = (self.left - 10.0, y + TILE / 2.0 + 4.0);
            canvas.text(at, name, Anchor::End, (style::SMALL, style::INK))?;
            for (i, tile) in tiles.iter().enumerate() {
                let x = self.left + i as f64 * (TILE + GAP);
                canvas.raster((x, y, TILE, TILE), tile.clone());
            }
            y += TILE + GAP;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_tile_a_start_or_is_refused() {
        let images = Line::of_images("unguided".into(), vec![Array3::zeros((3, 8, 8)); 2]);
        let maps = Line::of_maps("map".into(), vec![Array3::ones((1, 4, 4)); 2]);
        let sheet = PairsSheet::new(2, &[images.clone(), maps.clone()]).unwrap().unwrap();
        assert_eq!(crate::report::plot::files(&sheet).unwrap().len(), 2);
        assert!(PairsSheet::new(3, &[images]).is_err());
        let broken = Line::of_maps("map".into(), vec![Array3::from_elem((1, 4, 4), f32::NAN); 2]);
        assert!(PairsSheet::new(2, &[maps, broken]).is_err());
        assert_eq!(PairsSheet::new(0, &[]).unwrap(), None);
    }
}
