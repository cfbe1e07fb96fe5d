//! A CLIP export: its graphs, how images are prepared for it, how long its texts are.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::json::{read_json_as, refuse};
use crate::config::{ConfigError, Role};
use crate::fault::Fault;

const PREPROCESSOR: &str = "preprocessor_config.json";
const CONFIG: &str = "config.json";
const EXPORT: &str = "`optimum-cli export onnx --model openai/clip-vit-base-patch16 FOLDER`";

/// Pillow's number of the bicubic filter.
const BICUBIC: u64 = 3;

/// Largest side of an image that a network looks at.
const MAX_SIDE: u64 = 4096;

/// A CLIP export as its folder describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFolder {
    /// The folder.
    pub path: PathBuf,
    /// Its graphs.
    pub graphs: ClipFiles,
    /// Tokens of a text, where `config.json` says it.
    pub length: Option<usize>,
    /// How images are prepared.
    pub pixels: ClipPixels,
}

/// Graphs of a CLIP export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipFiles {
    /// Texts and images in one graph, as Optimum exports it.
    Whole(PathBuf),
    /// A graph for each.
    Halves {
        /// From tokens to `text_embeds`.
        text: PathBuf,
        /// From pixels to `image_embeds`.
        image: PathBuf,
    },
}

impl ClipFiles {
    /// All files.
    pub fn all(&self) -> Vec<&Path> {
        match self {
            Self::Whole(path) => vec![path],
            Self::Halves { text, image } => vec![text, image],
        }
    }
}

/// From an image to what the network sees: Pillow's bicubic to the shorter side, centre, `(level factor - mean) / std`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipPixels {
    /// Length of the shorter side.
    pub shortest: usize,
    /// Side of the square that is cut out of the centre.
    pub side: usize,
    /// What a level is multiplied with.
    pub factor: f64,
    /// A channel each.
    pub mean: [f32; 3],
    /// A channel each.
    pub std: [f32; 3],
}

/// `preprocessor_config.json`; what is left out is as CLIP has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PreprocessorJson {
    do_resize: Option<bool>,
    size: Option<Value>,
    resample: Option<u64>,
    do_center_crop: Option<bool>,
    crop_size: Option<Value>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

/// `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClipJson {
    text_config: TextJson,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TextJson {
    max_position_embeddings: Option<usize>,
}

impl ClipFolder {
    /// Reads the JSON files of an export and looks for its graphs, in the folder or in `onnx/`.
    ///
    /// # Errors
    /// [`ConfigError`] for files that are missing, and for images that are prepared in a way that is not understood.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let Some(graphs) = graphs(path) else {
            let message = format!(
                "is not there, nor are text_model.onnx and vision_model.onnx: export CLIP to ONNX, {EXPORT}, and name its folder"
            );
            return Err(ConfigError::Invalid {
                path: path.to_owned(),
                faults: vec![Fault::new("model.onnx", message)],
            });
        };
        let file = path.join(PREPROCESSOR);
        let json: PreprocessorJson = read_json_as(&file, Role::Clip)?;
        refuse(&file, json.faults())?;
        let config: ClipJson = read_json_as(&path.join(CONFIG), Role::Clip)?;
        let length = config.text_config.max_position_embeddings.filter(|n| (2..=4096).contains(n));
        Ok(Self { path: path.to_owned(), graphs, length, pixels: json.pixels() })
    }
}

fn graphs(path: &Path) -> Option<ClipFiles> {
    let found = |name: &str| {
        [path.join(name), path.join("onnx").join(name)].into_iter().find(|file| file.is_file())
    };
    if let Some(whole) = found("model.onnx") {
        return Some(ClipFiles::Whole(whole));
    }
    Some(ClipFiles::Halves { text: found("text_model.onnx")?, image: found("vision_model.onnx")? })
}

impl PreprocessorJson {
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut refused = |key: &str, message: String| faults.push(Fault::new(key, message));
        for (key, on) in [
            ("do_resize", self.do_resize),
            ("do_center_crop", self.do_center_crop),
            ("do_rescale", self.do_rescale),
            ("do_normalize", self.do_normalize),
        ] {
            if on == Some(false) {
                refused(key, "is false, expected true, as CLIP was trained".to_owned());
            }
        }
        if let Some(other) = self.resample.filter(|filter| *filter != BICUBIC) {
            refused("resample", format!("is {other}, expected {BICUBIC}, Pillow's bicubic"));
        }
        let (shortest, side) = (self.shortest(), self.side());
        if shortest.is_none() {
            let message = "expected {\"shortest_edge\": PIXELS}, or PIXELS: only that is read";
            refused("size", message.to_owned());
        }
        if side.is_none() {
            let message = "expected {\"height\": PIXELS, \"width\": PIXELS} of a square, or PIXELS";
            refused("crop_size", message.to_owned());
        }
        if let (Some(shortest), Some(side)) = (shortest, side)
            && side > shortest
        {
            let message = format!("is {side}, more than the shorter side of the image, {shortest}");
            refused("crop_size", message);
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if self.rescale_factor.is_some_and(|factor| !positive(factor)) {
            refused("rescale_factor", "expected a number above 0, as 1/255".to_owned());
        }
        if self.image_std.is_some_and(|std| !std.iter().all(|std| positive(f64::from(*std)))) {
            refused("image_std", "expected three numbers above 0".to_owned());
        }
        faults
    }

    /// Shorter side of the resized image; `None` for what is not understood.
    fn shortest(&self) -> Option<usize> {
        let Some(size) = &self.size else { return Some(224) };
        pixels(if size.is_number() { size } else { size.get("shortest_edge")? })
    }

    /// Side of the square that is cut out; `None` for what is not understood.
    fn side(&self) -> Option<usize> {
        let Some(size) = &self.crop_size else { return Some(224) };
        if size.is_number() {
            return pixels(size);
        }
        let (height, width) = (pixels(size.get("height")?)?, pixels(size.get("width")?)?);
        (height == width).then_some(height)
    }

    fn pixels(&self) -> ClipPixels {
        ClipPixels {
            shortest: self.shortest().unwrap_or(224),
            side: self.side().unwrap_or(224),
            factor: self.rescale_factor.unwrap_or(1.0 / 255.0),
            mean: self.image_mean.unwrap_or([0.481_454_66, 0.457_827_5, 0.408_210_73]),
            std: self.image_std.unwrap_or([0.268_629_55, 0.261_302_6, 0.275_777_1]),
        }
    }
}

fn pixels(value: &Value) -> Option<usize> {
    let side = value.as_u64().filter(|side| (1..=MAX_SIDE).contains(side))?;
    usize::try_from(side).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let json: PreprocessorJson = serde_json::from_str(text).unwrap();
        json.faults().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn sizes_are_read_in_both_forms_and_what_is_left_out_is_as_clip_has_it() {
        let read = |text: &str| serde_json::from_str::<PreprocessorJson>(text).unwrap().pixels();
        assert_eq!((read("{}").shortest, read("{}").side), (224, 224));
        let old = read(r#"{"size": 336, "crop_size": 300}"#);
        assert_eq!((old.shortest, old.side), (336, 300));
        let new = r#"{"size": {"shortest_edge": 64}, "crop_size": {"height": 32, "width": 32}}"#;
        assert_eq!((read(new).shortest, read(new).side), (64, 32));
        assert!(words(new).is_empty() && words("{}").is_empty());
    }

    #[test]
    fn images_that_are_prepared_otherwise_are_refused_by_key() {
        for (text, expected) in [
            (r#"{"do_center_crop": false}"#, "do_center_crop: is false, expected true"),
            (r#"{"resample": 2}"#, "resample: is 2, expected 3, Pillow's bicubic"),
            (r#"{"size": {"height": 224, "width": 224}}"#, "size: expected {\"shortest_edge\""),
            (r#"{"crop_size": {"height": 224, "width": 32}}"#, "crop_size: expected {\"height\""),
            (r#"{"size": 100}"#, "crop_size: is 224, more than the shorter side of the image, 100"),
            (r#"{"rescale_factor": 0}"#, "rescale_factor: expected a number above 0"),
            (r#"{"image_std": [1, 0, 1]}"#, "image_std: expected three numbers above 0"),
        ] {
            let found = words(text);
            assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
        }
    }
}
