//! The same starts under the rules of each sampler, side by side.

use image::RgbImage;

use super::input::Strip;
use crate::report::plot::canvas::{Anchor, Canvas, name_column};
use crate::report::plot::sheet::photograph;
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, number};

const TILE: f64 = 64.0;
const GAP: f64 = 6.0;
const TOP: f64 = 44.0;
const HEAD: f64 = 44.0;
const MARGIN: f64 = 24.0;

/// One arm: its name, and one tile a start.
type Line = (String, Vec<RgbImage>);

/// Whose images are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shows {
    /// Those of the listed arms.
    Arms,
    /// Those of the cells of the sweep, below the unguided ones: Figure 10 of the paper on small images.
    Sweep,
}

impl Shows {
    fn name(self) -> &'static str {
        match self {
            Self::Arms => "guided-and-unguided",
            Self::Sweep => "swept-images",
        }
    }
}

/// The figure: one block of lines a sampler.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GuidanceSheet {
    shows: Shows,
    strips: Vec<(String, Vec<String>, Vec<Line>)>,
    /// Where the tiles begin.
    left: f64,
}

impl GuidanceSheet {
    /// Prepares the tiles; `None` without images.
    ///
    /// # Errors
    /// [`ReportError::Value`] for images that are not `[3, H, W]` or not one a start.
    pub(super) fn new(strips: &[Strip], shows: Shows) -> Result<Option<Self>, ReportError> {
        let strips: Vec<_> = strips.iter().map(strip).collect::<Result<_, _>>()?;
        if strips.is_empty() {
            return Ok(None);
        }
        let names = strips.iter().flat_map(|strip| &strip.2).map(|line| line.0.as_str());
        let column = name_column(names)
            .map_err(|cause| ReportError::Plot { name: shows.name().to_owned(), cause })?;
        let left = MARGIN + column + 10.0;
        Ok(Some(Self { shows, strips, left }))
    }

    fn n_columns(&self) -> f64 {
        self.strips.iter().map(|strip| strip.1.len()).max().unwrap_or(0) as f64
    }
}

fn strip(strip: &Strip) -> Result<(String, Vec<String>, Vec<Line>), ReportError> {
    let heads = strip.samples.iter().map(|id| format!("#{}", number::count(id.0))).collect();
    let mut lines = Vec::new();
    for (name, images) in &strip.arms {
        let sound = |image: &ndarray::Array3<u8>| image.dim().0 == 3 && !image.is_empty();
        if images.len() != strip.samples.len() || !images.iter().all(sound) {
            return Err(ReportError::Value {
                place: format!("images of {name} ({})", strip.sampler),
                got: format!("{} images", images.len()),
                expected: format!("{} images [3, H, W]", strip.samples.len()),
                remedy: "run `dubench verify` on the work folder".to_owned(),
            });
        }
        let tiles = images.iter().map(photograph).collect();
        lines.push((name.clone(), tiles));
    }
    Ok((strip.sampler.clone(), heads, lines))
}

impl Figure for GuidanceSheet {
    fn name(&self) -> &'static str {
        self.shows.name()
    }

    fn title(&self) -> String {
        match self.shows {
            Shows::Arms => "The same starts with and without guidance".to_owned(),
            Shows::Sweep => "The same starts under other strengths and percentiles".to_owned(),
        }
    }

    fn size(&self) -> (u32, u32) {
        let lines: usize = self.strips.iter().map(|strip| strip.2.len()).sum();
        let width = self.left + self.n_columns() * (TILE + GAP) + MARGIN;
        let height = TOP + self.strips.len() as f64 * HEAD + lines as f64 * (TILE + GAP) + MARGIN;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
        let size = (width as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 24.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let mut y = TOP;
        for (sampler, heads, lines) in &self.strips {
            y += HEAD;
            canvas.text((MARGIN, y - 10.0), sampler, Anchor::Start, (style::LABEL, style::INK))?;
            let small = (style::SMALL, style::SOFT_INK);
            for (i, head) in heads.iter().enumerate() {
                let x = self.left + i as f64 * (TILE + GAP) + TILE / 2.0;
                canvas.text((x, y - 6.0), head, Anchor::Middle, small)?;
            }
            for (name, tiles) in lines {
                let at = (self.left - 10.0, y + TILE / 2.0 + 4.0);
                canvas.text(at, name, Anchor::End, (style::SMALL, style::INK))?;
                for (i, tile) in tiles.iter().enumerate() {
                    let x = self.left + i as f64 * (TILE + GAP);
                    canvas.raster((x, y, TILE, TILE), tile.clone());
                }
                y += TILE + GAP;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::units::SampleId;

    #[test]
    fn every_arm_is_a_line_and_missing_images_are_refused() {
        let mut strip = Strip {
            sampler: "ddim-5".into(),
            samples: vec![SampleId(0), SampleId(1)],
            arms: vec![("unguided".into(), vec![Array3::zeros((3, 8, 8)); 2])],
        };
        let sheet = GuidanceSheet::new(std::slice::from_ref(&strip), Shows::Arms).unwrap().unwrap();
        assert_eq!(crate::report::plot::files(&sheet).unwrap().len(), 2);
        strip.arms[0].1.pop();
        assert!(GuidanceSheet::new(&[strip], Shows::Sweep).is_err());
        assert_eq!(GuidanceSheet::new(&[], Shows::Sweep).unwrap(), None);
    }
}
