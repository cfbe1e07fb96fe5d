//! Real images as starts of networks that ask for classes, and of latent models: what comes out has a closed form.

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2, Array4, Axis, s};
use ndarray_npy::NpzWriter;

use super::images::{Bench, TINY, folder_with, images, planned, row};
use crate::plan::Shard;
use crate::protocol::Evidence;
use crate::protocol::reconstruction::maps::{Images, Polarity, by_image};
use crate::stage::Stop;
use crate::stage::evaluate::RunEvidence;
use crate::stage::generate::starts::initial_states;
use crate::store::digest::sha256_of_file;
use crate::store::layout::StageName;
use crate::store::part::{self, Parts};
use crate::store::publish;
use crate::store::records::{ImagePart, Span};
use crate::units::{BlockId, ClassLabel, SampleId};

const CLASSES: [i64; 8] = [2, 0, 1, 1, 2, 2, 0, 1];

fn labelled(classes: &[i64]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(std::io::Cursor::new(&mut bytes));
    npz.add_array("arr_0", &images(8, 8)).unwrap();
    npz.add_array("labels", &Array1::from(classes.to_vec())).unwrap();
    npz.finish().unwrap();
    publish(&folder.path().join("images.npz"), &bytes).unwrap();
    folder
}

/// A spike of each class: `x_0 ~ N(0.1 + 0.1 y, 0.001^2)`.
fn classes() -> String {
    TINY.replace("  dropout: true\n", "  classes: 3\n").replace("std: 0.5", "std: 0.001")
}

fn first_part(bench: &Bench) -> ImagePart {
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let path = run.layout.part(StageName::Generate, BlockId(0));
    part::read(&path, run.layout.stage_id(StageName::Generate), Parts::All).unwrap()
}

/// The only images that the network knows are those of the class, so that is what it makes of every image.
#[test]
fn an_image_is_rebuilt_as_its_class() {
    let bench = Bench::in_folder(labelled(&CLASSES), &classes());
    bench.all("work", 3).unwrap();
    let part = first_part(&bench);
    let expected: Vec<ClassLabel> = [2, 0, 1, 1].map(ClassLabel).to_vec();
    assert_eq!(part.labels, Some(expected));
    for (image, class) in part.images.outer_iter().zip(CLASSES) {
        let grey = 127.5 * (1.0 + 0.1 + 0.1 * class as f64);
        assert!(image.iter().all(|level| (f64::from(*level) - grey).abs() < 2.0), "{class}");
    }
}

#[test]
fn classes_name_the_images_where_the_model_takes_some() {
    let images_of = |classes: &[i64], text: &str| {
        planned(&labelled(classes), text).unwrap().1.work.images.unwrap().sha256
    };
    let others = [0; 8];
    assert_ne!(images_of(&CLASSES, &classes()), images_of(&others, &classes()));
    assert_eq!(images_of(&CLASSES, TINY), images_of(&others, TINY));
    let plain = planned(&folder_with(&images(8, 8)), TINY).unwrap().1.work.images.unwrap();
    assert_eq!(plain.sha256, images_of(&CLASSES, TINY));
}

#[test]
fn a_class_that_the_model_does_not_have_is_refused_with_its_image() {
    let error = planned(&labelled(&[0, 1, 2, 0, 1, 3, 0, 0]), &classes()).unwrap_err().to_string();
    assert!(error.contains("image 5 is of class 3") && error.contains("0 to 2"), "{error}");
    // Of the images that are not taken nobody asks.
    let few = classes().replace("n_pool: 8", "n_pool: 4");
    assert!(planned(&labelled(&[0, 1, 2, 0, 1, 3, 0, 0]), &few).is_ok());
}

const LATENT: &str = "format: 1
name: tiny-latent
task: {kind: latent, shape: [3, 4, 4], scale: 0.5, decoder: nearest_decoder.onnx, encoder: ENCODER, classes: null}
prediction: epsilon
schedule: {kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}
graphs:
  denoiser: {file: quarter.onnx, inputs: {x: sample, t: timestep}, outputs: {prediction: eps}}
files:
";

/// A bundle with `epsilon = x / 4` on latents that are half the means of 2 x 2 pixels, and images in the same folder.
fn latent(encoder: Option<&str>) -> (tempfile::TempDir, String) {
    let folder = folder_with(&images(8, 8));
    let bundle = folder.path().join("bundle");
    fs::create_dir(&bundle).unwrap();
    let mut text = match encoder {
        Some(name) => LATENT.replace("ENCODER", name),
        None => LATENT.replace(" encoder: ENCODER,", ""),
    };
    for name in ["quarter.onnx", "nearest_decoder.onnx"].into_iter().chain(encoder) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name);
        let to = bundle.join(name);
        let bytes = fs::copy(from, &to).unwrap();
        text +=
            &format!("  {name}: {{sha256: '{}', bytes: {bytes}}}\n", sha256_of_file(&to).unwrap());
    }
    publish(&bundle.join("model.yaml"), text.as_bytes()).unwrap();
    let experiment = "name: latent
question: Are latents rebuilt?
artefact: none
model: {kind: bundle, path: bundle}
sampler: {kind: ddim, n_steps: 10}
seed: 7
estimators: [{kind: sample_var, n_draws: 3}]
protocol: {kind: reconstruction, images: images.npz, arms: [{name: corrected}]}
scales:
  smoke: {n_pool: 5, block_size: 5, batch_size: 5}
";
    (folder, experiment.to_owned())
}

/// The final latents: noised at t = 400, and multiplied by `(a' (1 - s / 4) / a + s' / 4)` at each of five steps.
fn final_latents(n: usize) -> Array4<f64> {
    let alpha_bar = |t: usize| -> f64 {
        (0..=t).map(|k| 1.0 - (1e-4 + (0.02 - 1e-4) * k as f64 / 999.0)).product()
    };
    let times = [400, 300, 200, 100, 0];
    let bars: Vec<f64> = times.map(alpha_bar).into_iter().chain([1.0]).collect();
    let gain: f64 = bars
        .windows(2)
        .map(|pair| {
            let [(a, s), (a_next, s_next)] =
                [0, 1].map(|k| (pair[k].sqrt(), (1.0 - pair[k]).sqrt()));
            a_next * (1.0 - 0.25 * s) / a + 0.25 * s_next
        })
        .product();
    let samples: Vec<SampleId> = (0..).map(SampleId).take(n).collect();
    let noise = initial_states(7, &samples, [3, 4, 4]);
    let pixels = images(8, 8);
    Array4::from_shape_fn((n, 3, 4, 4), |(i, c, y, x)| {
        let block = pixels.slice(s![i, 2 * y..2 * y + 2, 2 * x..2 * x + 2, c]);
        let mean = block.iter().map(|byte| f64::from(*byte) / 127.5 - 1.0).sum::<f64>() / 4.0;
        gain * (bars[0].sqrt() * 0.5 * mean
            + (1.0 - bars[0]).sqrt() * f64::from(noise[[i, c, y, x]]))
    })
}

#[test]
fn latents_are_encoded_walked_and_decoded_as_worked_out() {
    // The second answers with moments, for a batch of two, as the decoder does.
    for encoder in ["pool_encoder.onnx", "fixed_moments.onnx"] {
        let (folder, text) = latent(Some(encoder));
        let bench = Bench::in_folder(folder, &text);
        bench.all("work", 5).unwrap();
        let part = first_part(&bench);
        let expected = final_latents(5);
        assert_eq!(part.images.dim(), (5, 3, 8, 8));
        for ((i, c, y, x), level) in part.images.indexed_iter() {
            let pixel = (expected[[i, c, y / 2, x / 2]] / 0.5).clamp(-1.0, 1.0);
            assert!((127.5 * (pixel + 1.0) - f64::from(*level)).abs() < 0.51, "{encoder}");
        }
    }
}

/// What the table says of a map is what is said of its sum over channels, repeated by hand over pixels and channels.
#[test]
fn maps_of_latents_are_judged_over_the_pixels_of_their_places() {
    let (folder, text) = latent(Some("pool_encoder.onnx"));
    let bench = Bench::in_folder(folder, &text);
    let numbers = bench.all("work", 5).unwrap().numbers;
    let part = first_part(&bench);
    let window = |scores: &&crate::store::records::MethodScores| {
        scores.method == "sample_var" && scores.span == Span::Window
    };
    let scores = part.scores.iter().find(window).unwrap();
    let mut maps = Array2::zeros((5, 3 * 64));
    for (mut to, map) in maps.outer_iter_mut().zip(scores.map.as_ref().unwrap()) {
        assert_eq!(map.dim(), (3, 4, 4));
        for (at, value) in to.iter_mut().enumerate() {
            let (y, x) = (at % 64 / 8, at % 8);
            *value = map.slice(s![.., y / 2, x / 2]).sum();
        }
    }
    let flat = |images: &Array4<u8>| images.to_shape((5, 192)).unwrap().to_owned();
    let originals = images(8, 8).permuted_axes([0, 3, 1, 2]);
    let truth = flat(&originals.slice(s![..5, .., .., ..]).as_standard_layout().into_owned());
    let rebuilt = flat(&part.images);
    let judged = Images { truth: truth.view(), reconstruction: rebuilt.view(), shape: [3, 8, 8] };
    let got = by_image(&judged.error(), &maps, (Polarity::AsIs, 50)).unwrap();
    let mean = got.aurg.iter().sum::<f64>() / 5.0;
    let told = row(&numbers.rows, "corrected", ["sample_var", "aurg"], "as_is").value.unwrap();
    assert!((told - mean).abs() < 1e-9 * mean.abs().max(1.0), "{told}, by hand {mean}");
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, bench.experiment()).unwrap();
    assert_eq!(evidence.truth(5).unwrap().index_axis(Axis(0), 4), truth.index_axis(Axis(0), 4));
    let files = run.plan.protocol.report(&mut evidence, &numbers).unwrap();
    let table = String::from_utf8(files[0].bytes.clone()).unwrap();
    assert!(table.contains("latents of 3 channels, 4 by 4: a map is summed"), "{table}");
    assert!(files.iter().any(|file| file.name == "plots/error-and-uncertainty.png"));
}

#[test]
fn latent_models_without_an_encoder_and_images_of_another_size_are_refused() {
    let (folder, text) = latent(None);
    let error = planned(&folder, &text).unwrap_err().to_string();
    assert!(error.contains("name one as task.encoder of model.yaml"), "{error}");
    let (folder, text) = latent(Some("pool_encoder.onnx"));
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(std::io::Cursor::new(&mut bytes));
    npz.add_array("arr_0", &images(8, 10)).unwrap();
    npz.finish().unwrap();
    publish(&folder.path().join("large.npz"), &bytes).unwrap();
    let bench = Bench::in_folder(folder, &text.replace("images.npz", "large.npz"));
    let error = bench.all("work", 5).unwrap_err().to_string();
    assert!(error.contains("[5, 3, 10, 10]") && error.contains("[5, 3, 8, 8]"), "{error}");
}
