//! The same starts with and without guidance, the map between them.

use image::RgbImage;
use ndarray::{Array3, Axis};

use crate::protocol::Texts;
use crate::report::plot::canvas::{Anchor, Canvas, name_column, shortened};
use crate::report::plot::sheet::{coloured, photograph};
use crate::report::plot::{Backend, Figure, style};
use crate::report::{ReportError, number};

const TILE: f64 = 96.0;
const GAP: f64 = 6.0;
const NAME: &str = "pairs";
const TOP: f64 = 76.0;
/// Room for a number below a tile, and for a line of the legend.
const NOTE: f64 = 14.0;
const MARGIN: f64 = 24.0;

/// One line of the sheet: a name, and a tile a start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    name: String,
    tiles: Vec<Option<RgbImage>>,
    /// A number below each tile, or none at all.
    notes: Vec<String>,
}

impl Line {
    /// Images `[3, H, W]`, one a start.
    pub(super) fn of_images(name: String, images: Vec<Array3<u8>>) -> Self {
        let sound = |image: &Array3<u8>| image.dim().0 == 3 && !image.is_empty();
        let tiles = images.iter().map(|image| sound(image).then(|| photograph(image))).collect();
        Self { name, tiles, notes: Vec::new() }
    }

    /// The line with a number below each tile.
    pub(super) fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// Maps `[c, h, w]`, one a start, summed over channels; each has a scale of its own.
    pub(super) fn of_maps(name: String, maps: Vec<Array3<f32>>) -> Self {
        let tile = |map: &Array3<f32>| {
            let sum = map.sum_axis(Axis(0));
            (!sum.is_empty() && sum.iter().all(|value| value.is_finite())).then(|| coloured(&sum))
        };
        Self { name, tiles: maps.iter().map(tile).collect(), notes: Vec::new() }
    }
}

/// What stands around the tiles: whose they are, and of which prompts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Caption {
    /// Below the title.
    model: String,
    /// Below the tiles.
    legend: Vec<String>,
}

impl Caption {
    /// Of the first `n` samples.
    pub(super) fn new(model: &str, texts: Option<&Texts>, n: u64) -> Self {
        let Some(texts) = texts else {
            return Self { model: model.to_owned(), legend: Vec::new() };
        };
        let note = texts.note.as_ref().map(|note| format!(", {note}"));
        let n_prompts = texts.prompts.len() as u64;
        let line = |(at, prompt): (u64, &String)| {
            let ids = (0..n).filter(|id| id % n_prompts == at).map(|id| format!("#{id}"));
            let ids: Vec<String> = ids.collect();
            (!ids.is_empty()).then(|| format!("{}  {prompt}", ids.join(" ")))
        };
        let mut legend: Vec<String> = (0..).zip(&texts.prompts).filter_map(line).collect();
        if n_prompts == 1 {
            legend.clone_from(&texts.prompts);
        }
        legend.push("Each map has a scale of its own.".to_owned());
        Self { model: format!("{model}{}", note.unwrap_or_default()), legend }
    }
}

/// The figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PairsSheet {
    lines: Vec<(String, Vec<RgbImage>, Vec<String>)>,
    caption: Caption,
    n: u64,
    /// Where the tiles begin.
    left: f64,
}

impl PairsSheet {
    /// A sheet of `n` starts; `None` without any.
    ///
    /// # Errors
    /// [`ReportError::Value`] for tiles that are no images, or not one a start.
    pub(super) fn new(
        n: u64,
        lines: &[Line],
        caption: Caption,
    ) -> Result<Option<Self>, ReportError> {
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
            drawn.push((line.name.clone(), tiles, line.notes.clone()));
        }
        let column = name_column(lines.iter().map(|line| line.name.as_str()))
            .map_err(|cause| ReportError::Plot { name: NAME.to_owned(), cause })?;
        Ok(Some(Self { lines: drawn, caption, n, left: MARGIN + column + 10.0 }))
    }
}

/// Height of a line of tiles with what stands below them.
fn line_height(notes: &[String]) -> f64 {
    TILE + GAP + if notes.is_empty() { 0.0 } else { NOTE }
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
        let tiles: f64 = self.lines.iter().map(|(_, _, notes)| line_height(notes)).sum();
        let height = TOP + tiles + self.caption.legend.len() as f64 * NOTE + MARGIN;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
        let size = (width.max(460.0) as u32, height as u32);
        size
    }

    fn draw<B: Backend>(&self, canvas: &mut Canvas<B>) -> Result<(), String> {
        let title = self.title();
        canvas.text((MARGIN, 24.0), &title, Anchor::Start, (style::TITLE, style::INK))?;
        let small = (style::SMALL, style::SOFT_INK);
        let room = f64::from(self.size().0) - 2.0 * MARGIN;
        let model = shortened(&self.caption.model, style::SMALL, room)?;
        canvas.text((MARGIN, 44.0), &model, Anchor::Start, small)?;
        for id in 0..self.n {
            let x = self.left + id as f64 * (TILE + GAP) + TILE / 2.0;
            let head = format!("#{}", number::count(id));
            canvas.text((x, TOP - 6.0), &head, Anchor::Middle, small)?;
        }
        let mut y = TOP;
        for (name, tiles, notes) in &self.lines {
            let at = (self.left - 10.0, y + TILE / 2.0 + 4.0);
            canvas.text(at, name, Anchor::End, (style::SMALL, style::INK))?;
            for (i, tile) in tiles.iter().enumerate() {
                let x = self.left + i as f64 * (TILE + GAP);
                canvas.raster((x, y, TILE, TILE), tile.clone());
                if let Some(note) = notes.get(i) {
                    let at = (x + TILE / 2.0, y + TILE + NOTE - 3.0);
                    canvas.text(at, note, Anchor::Middle, small)?;
                }
            }
            y += line_height(notes);
        }
        for (at, line) in self.caption.legend.iter().enumerate() {
            let line = shortened(line, style::SMALL, room)?;
            let place = (MARGIN, y + (at + 1) as f64 * NOTE);
            canvas.text(place, &line, Anchor::Start, small)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_tile_a_start_or_is_refused() {
        let made = |n, lines: &[Line]| PairsSheet::new(n, lines, Caption::default());
        let images = Line::of_images("unguided".into(), vec![Array3::zeros((3, 8, 8)); 2]);
        let maps = Line::of_maps("map".into(), vec![Array3::ones((1, 4, 4)); 2]);
        let sheet = made(2, &[images.clone().with_notes(vec!["CLIP 1.0".into(); 2]), maps.clone()])
            .unwrap()
            .unwrap();
        assert_eq!(crate::report::plot::files(&sheet).unwrap().len(), 2);
        assert!(made(3, &[images]).is_err());
        let broken = Line::of_maps("map".into(), vec![Array3::from_elem((1, 4, 4), f32::NAN); 2]);
        assert!(made(2, &[maps, broken]).is_err());
        assert_eq!(made(0, &[]).unwrap(), None);
    }

    #[test]
    fn a_caption_names_the_model_and_which_start_is_of_which_prompt() {
        let prompts = ["a cat", "a dog", "a bird"].map(str::to_owned).to_vec();
        let texts = Texts { prompts, note: Some("random weights".to_owned()) };
        let caption = Caption::new("tiny", Some(&texts), 4);
        assert_eq!(caption.model, "tiny, random weights");
        assert_eq!(caption.legend[..3], ["#0 #3  a cat", "#1  a dog", "#2  a bird"]);
        let fewer = Caption::new("tiny", Some(&texts), 2).legend;
        assert_eq!(fewer[..2], ["#0  a cat", "#1  a dog"]);
        let one = Texts { prompts: vec!["a cat".to_owned()], note: None };
        assert_eq!(Caption::new("tiny", Some(&one), 4).legend[0], "a cat");
    }
}
