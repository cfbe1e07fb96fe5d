//! The tiny CLIP of random weights beside transformers, and exports that are not whole.

use std::path::{Path, PathBuf};

use ndarray::{Array4, Axis};
use serde::Deserialize;

use super::ClipScore;
use super::pixels::prepared;
use crate::config::pipeline::ClipFolder;
use crate::model::FeatureExtractor;
use crate::model::onnx::RuntimeOptions;
use crate::units::SampleId;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/clip");
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-clip-random");

/// What `CLIPModel` and `CLIPImageProcessor` of transformers 5.24.0 give (`scripts/golden/clip.py`).
#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    lost: Vec<usize>,
    images: Vec<GoldenImage>,
}

#[derive(Deserialize)]
struct GoldenImage {
    size: [usize; 2],
    cosines: Vec<f32>,
    pixels: [f32; 3],
    mean: [f32; 3],
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(Path::new(DATA).join("golden.json")).unwrap()).unwrap()
}

/// The formula of the script, `rows` times.
fn image(number: usize, [height, width]: [usize; 2], rows: usize) -> Array4<u8> {
    Array4::from_shape_fn((rows, 3, height, width), |(_, c, y, x)| {
        let level = 37 * (number + 1) * x + 11 * y * (c + 1) + 5 * x * y * (number + c);
        u8::try_from(level % 256).unwrap()
    })
}

fn copy(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(Path::new(TINY).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

const WORDS: [&str; 5] = [
    "config.json",
    "preprocessor_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
];

/// The same weights in two graphs.
fn halves() -> tempfile::TempDir {
    let folder = copy(&WORDS);
    std::fs::create_dir(folder.path().join("onnx")).unwrap();
    for name in ["text_model.onnx", "vision_model.onnx"] {
        std::fs::copy(Path::new(DATA).join(name), folder.path().join("onnx").join(name)).unwrap();
    }
    folder
}

#[test]
fn cosines_are_those_of_transformers_in_one_graph_and_in_two() {
    let golden = golden();
    let two = halves();
    for folder in [PathBuf::from(TINY), two.path().to_owned()] {
        let folder = ClipFolder::read(&folder).unwrap();
        let options = RuntimeOptions { micro_batch: 3, ..RuntimeOptions::default() };
        let mut clip = ClipScore::open(&folder, &golden.texts, &options).unwrap();
        for (number, expected) in golden.images.iter().enumerate() {
            let images = image(number, expected.size, 4);
            let samples = [4, 1, 2, 7].map(SampleId);
            let got = clip.extract_samples(images.view(), &samples).unwrap();
            assert_eq!(got.dim(), (4, 1));
            for (row, of) in [0, 1, 2, 3].into_iter().enumerate() {
                let (got, expected) = (got[[row, 0]], expected.cosines[of]);
                assert!((got - expected).abs() < 2e-6, "{number}, text {of}: {got} {expected}");
            }
        }
        assert!(clip.extract(image(0, [8, 8], 1).view()).is_err());
    }
}

#[test]
fn images_are_prepared_as_by_transformers_on_pillow() {
    let how = ClipFolder::read(Path::new(TINY)).unwrap().pixels;
    for (number, expected) in golden().images.iter().enumerate() {
        let got = prepared(&image(number, expected.size, 1).view(), &how).unwrap();
        assert_eq!(got.dim(), (1, 3, 32, 32));
        let at = [[0, 0, 0, 0], [0, 1, 5, 30], [0, 2, 31, 31]];
        for (at, expected) in at.into_iter().zip(expected.pixels) {
            assert!((got[at] - expected).abs() < 1e-6, "{number}, {at:?}: {} {expected}", got[at]);
        }
        for (plane, expected) in got.index_axis(Axis(0), 0).outer_iter().zip(expected.mean) {
            let mean = plane.mean().unwrap();
            // The means of 1,024 elements, summed in another order.
            assert!((mean - expected).abs() < 2e-6, "{number}: {mean} {expected}");
        }
    }
}

#[test]
fn texts_that_are_too_long_lose_their_end_and_are_counted() {
    let golden = golden();
    assert_eq!(golden.lost, [0, 0, 0, 105]);
    let tokenizer = crate::model::text::TextTokenizer::open(Path::new(TINY), Some(77)).unwrap();
    for (text, lost) in golden.texts.iter().zip(golden.lost) {
        assert_eq!(tokenizer.encode(text).unwrap().n_lost, lost, "{text:?}");
    }
}

#[test]
fn numbers_are_named_by_every_file_and_by_the_prompts() {
    let one = ClipScore::id_of(&ClipFolder::read(Path::new(TINY)).unwrap(), &["a".into()]).unwrap();
    assert_eq!((one.name.as_str(), one.dim), ("tiny-clip-random", 1));
    let whole = [&WORDS[..], &["model.onnx"]].concat();
    let same = copy(&whole);
    let id = |prompts: &[&str]| {
        let prompts: Vec<String> = prompts.iter().map(|prompt| (*prompt).to_owned()).collect();
        ClipScore::id_of(&ClipFolder::read(same.path()).unwrap(), &prompts).unwrap().sha256
    };
    assert_eq!(id(&["a"]), one.sha256);
    assert_ne!(id(&["a", "b"]), one.sha256);
    for name in whole {
        let path = same.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        let other = if name == "model.onnx" {
            std::fs::read(Path::new(DATA).join("vision_model.onnx")).unwrap()
        } else {
            [&bytes[..], b"\n"].concat()
        };
        crate::store::publish(&path, &other).unwrap();
        assert_ne!(id(&["a"]), one.sha256, "{name}");
        crate::store::publish(&path, &bytes).unwrap();
    }
}

/// Opens an export and scores one image by it.
fn score_one(folder: &Path) -> Result<(), String> {
    let folder = ClipFolder::read(folder).map_err(|error| error.to_string())?;
    let options = RuntimeOptions::default();
    let mut clip =
        ClipScore::open(&folder, &["a cat".into()], &options).map_err(|error| error.to_string())?;
    let images = image(0, [32, 32], 1);
    let scores = clip.extract_samples(images.view(), &[SampleId(0)]);
    scores.map(drop).map_err(|error| error.to_string())
}

fn refused(folder: &Path, expected: &str) {
    let error = score_one(folder).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn exports_that_are_not_whole_are_refused_with_what_is_missing() {
    refused(Path::new("nowhere"), "model.onnx: is not there, nor are text_model.onnx");
    let whole = [&WORDS[..], &["model.onnx"]].concat();
    for (missing, expected) in [
        ("model.onnx", "optimum-cli export onnx --model openai/clip-vit-base-patch16"),
        ("preprocessor_config.json", "expected CLIP as Optimum writes it"),
        ("config.json", "expected CLIP as Optimum writes it"),
        ("vocab.json", "has neither tokenizer.json nor vocab.json"),
        ("merges.txt", "is not there, and vocab.json says nothing without it"),
    ] {
        let names: Vec<&str> = whole.iter().copied().filter(|name| *name != missing).collect();
        refused(copy(&names).path(), expected);
    }
}

#[test]
fn graphs_of_another_size_or_of_two_models_are_refused() {
    let sized = copy(&[&WORDS[..], &["model.onnx"]].concat());
    let text = std::fs::read_to_string(sized.path().join("preprocessor_config.json")).unwrap();
    let larger = text.replace("32", "64");
    crate::store::publish(&sized.path().join("preprocessor_config.json"), larger.as_bytes())
        .unwrap();
    // The graph of Optimum leaves height and width open: the runtime itself refuses.
    assert!(score_one(sized.path()).is_err());
    let two = halves();
    let names = (two.path().join("preprocessor_config.json"), two.path().join("onnx"));
    crate::store::publish(&names.0, larger.as_bytes()).unwrap();
    refused(two.path(), "`pixel_values` has shape [?, 3, 32, 32], expected [batch, 3, 64, 64]");
    let narrow = Path::new(DATA).join("narrow_vision_model.onnx");
    std::fs::copy(narrow, names.1.join("vision_model.onnx")).unwrap();
    crate::store::publish(&names.0, text.as_bytes()).unwrap();
    refused(
        two.path(),
        "image_embeds has 8 elements, text_embeds 12: the graphs are of two models",
    );
}
