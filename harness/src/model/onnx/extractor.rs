//! Feature networks.

#[cfg(test)]
mod tests;

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
        let yaml = described(description)?;
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

    /// Holds the network file of a description, where it is there, against the size and the hash that are promised.
    ///
    /// # Errors
    /// As [`OnnxExtractor::open`], for a description or a file that is not as it should be.
    pub fn check_present(description: &Path) -> Result<(), ModelError> {
        let yaml = described(description)?;
        let network = network_path(&yaml)?;
        if network.exists() { check_network(&network, &yaml) } else { Ok(()) }
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

fn described(description: &Path) -> Result<ExtractorYaml, ModelError> {
    ExtractorYaml::read(description).map_err(|error| ModelError::Bundle {
        path: description.display().to_string(),
        message: error.to_string(),
    })
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
    let (expected, remedy) = (yaml.file.sha256.clone(), format!("move it aside, {}", remedy(yaml)));
    Err(ModelError::Integrity { path, got, expected, remedy })
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
