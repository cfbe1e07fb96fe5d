//! Truth, reconstruction, error and uncertainty of a few images, side by side.

use image::RgbImage;

use super::input::MapPanel;
use crate::report::plot::canvas::{Anchor, Canvas};
use crate::report::plot::sheet::{coloured, photograph};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, number};

const TILE: f64 = 96.0;
const GAP: f64 = 8.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 92.0;
const MARGIN: f64 = 24.0;
const FOOT: f64 = 30.0;

/// The figure: one row an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MapSheet {
    heads: Vec<String>,
    rows: Vec<(String, Vec<RgbImage>)>,
}

impl MapSheet {
    /// Prepares the tiles; `None` without panels.
    ///
    /// # Errors
    /// [`ReportError::Value`] for images that are not `[3, H, W]` and for values that are not finite.
    pub(super) fn new(panels: &[MapPanel]) -> Result<Option<Self>, ReportError> {
        let Some(first) = panels.first() else { return Ok(None) };
        let mut heads: Vec<String> =
            ["Truth", "Reconstruction", "Error"].map(str::to_owned).to_vec();
        heads.extend(first.maps.iter().map(|(name, _)| name.clone()));
        let rows = panels.iter().map(row).collect::<Result<_, _>>()?;
        Ok(Some(Self { heads, rows }))
    }
}

fn row(panel: &MapPanel) -> Result<(String, Vec<RgbImage>), ReportError> {
    let refuse = |got: String, expected: &str| ReportError::Value {
        place: format!("maps of image {}", panel.sample),
        got,
        expected: expected.to_owned(),
        remedy: "run `dubench verify` on the work folder".to_owned(),
    };
    for image in [&panel.truth, &panel.reconstruction] {
        if image.dim().0 != 3 || image.is_empty() {
            return Err(refuse(format!("an image {:?}", image.shape()), "an image [3, H, W]"));
        }
    }
    let maps = std::iter::once(&panel.error).chain(panel.maps.iter().map(|(_, map)| map));
    let mut tiles = vec![photograph(&panel.truth), photograph(&panel.reconstruction)];
    for map in maps {
        if let Some(bad) = map.iter().find(|value| !value.is_finite()) {
            return Err(refuse(bad.to_string(), "finite map values"));
        }
        tiles.push(coloured(map));
    }
    Ok((format!("#{}", number::count(panel.sample.0)), tiles))
}

impl Figure for MapSheet {
    fn name(&self) -> &'static str {
        "error-and-uncertainty"
    }

    fn title(&self) -> String {
        "Where the reconstruction is wrong, and where the methods expect it".to_owned()
    }

    fn size(&self) -> (u32, u32) {
        let width = LEFT + self.heads.len() as f64 * (TILE + GAP) + MARGIN;
        let height = TOP + self.rows.len() as f64 * (TILE + GAP) + FOOT;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "thousands of pixels"
        )]
        let size = (width.ceil() as u32, height.ceil() as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 24.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let note = (style::SMALL, style::SOFT_INK);
        let words = "Maps: sums over channels and executed steps; every map has its own scale, dark is low.";
        canvas.text((MARGIN, 44.0), words, Anchor::Start, note)?;
        for (i, head) in self.heads.iter().enumerate() {
            let x = LEFT + i as f64 * (TILE + GAP) + TILE / 2.0;
            // Long names take two lines.
            let (upper, lower) = head.split_once(' ').unwrap_or(("", head));
            let look = (style::SMALL, style::INK);
            canvas.text((x, TOP - 21.0), upper, Anchor::Middle, look)?;
            canvas.text((x, TOP - 8.0), lower, Anchor::Middle, look)?;
        }
        for (j, (name, tiles)) in self.rows.iter().enumerate() {
            let y = TOP + j as f64 * (TILE + GAP);
            let at = (LEFT - 8.0, y + TILE / 2.0);
            canvas.text(at, name, Anchor::End, (style::SMALL, style::SOFT_INK))?;
            for (i, tile) in tiles.iter().enumerate() {
                let x = LEFT + i as f64 * (TILE + GAP);
                canvas.raster((x, y, TILE, TILE), tile.clone());
            }
        }
        let y = TOP + self.rows.len() as f64 * (TILE + GAP) + 14.0;
        canvas.text((LEFT, y), "the first images of the set, not chosen", Anchor::Start, note)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;
    use crate::units::SampleId;

    fn panel() -> MapPanel {
        MapPanel {
            sample: SampleId(3),
            truth: Array3::zeros((3, 8, 8)),
            reconstruction: Array3::from_elem((3, 8, 8), 9),
            error: Array2::from_shape_fn((8, 8), |(y, x)| (y * x) as f32),
            maps: vec![("Score variance".into(), Array2::zeros((8, 8)))],
        }
    }

    #[test]
    fn every_map_has_a_tile_and_a_name() {
        let sheet = MapSheet::new(&[panel(), panel()]).unwrap().unwrap();
        assert_eq!(sheet.heads, ["Truth", "Reconstruction", "Error", "Score variance"]);
        assert!(sheet.rows.iter().all(|(_, tiles)| tiles.len() == 4));
        assert_eq!(crate::report::plot::files(&sheet).unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert_eq!(MapSheet::new(&[]).unwrap(), None);
        let mut bad = panel();
        bad.maps[0].1[[1, 1]] = f32::NAN;
        assert!(MapSheet::new(&[bad]).is_err());
        let mut grey = panel();
        grey.truth = Array3::zeros((1, 8, 8));
        assert!(MapSheet::new(&[grey]).is_err());
    }
}
