//! Feature networks.

use ndarray::{Array2, Array4, ArrayView4, Axis, Ix2, concatenate, s};

use super::preprocess;
use super::session::{Feed, GraphSource, OnnxSession, RuntimeOptions};
use crate::model::{ExtractorId, FeatureExtractor, ModelError};

/// A feature network in ONNX Runtime with the preprocessing that belongs to its features.
#[derive(Debug)]
pub struct OnnxExtractor {
    session: OnnxSession,
    id: ExtractorId,
    input: String,
    output: String,
    size: usize,
    micro_batch: usize,
}

/// Names and sizes of a feature network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractorPorts {
    /// Image input, f32 `[b, 3, size, size]`.
    pub input: String,
    /// Feature output, f32 `[b, dim]`.
    pub output: String,
    /// Side of the input image.
    pub size: usize,
}

impl OnnxExtractor {
    /// Opens the network `source`, whose features are known as `id`.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] when it cannot be opened, [`ModelError::Bundle`] when its inputs or
    /// outputs are not as `ports` says.
    pub fn open(
        source: GraphSource<'_>,
        id: ExtractorId,
        ports: ExtractorPorts,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let session = OnnxSession::open(&id.name, source, options)?;
        Ok(Self {
            session,
            id,
            input: ports.input,
            output: ports.output,
            size: ports.size,
            micro_batch: options.micro_batch.max(1),
        })
    }

    fn features(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        let input: Array4<f32> = preprocess::pytorch_fid(images, self.size);
        let feed = Feed::F32(input.view().into_dyn());
        let mut answer = self.session.run(&[(&self.input, feed)], &[&self.output])?;
        let features = answer.remove(0);
        let expected = vec![images.dim().0, self.id.dim];
        if features.shape() != expected {
            return Err(ModelError::Runtime {
                context: self.id.name.clone(),
                message: format!("features have shape {:?}, expected {expected:?}", features.shape()),
            });
        }
        features.into_dimensionality::<Ix2>().map_err(|error| ModelError::Runtime {
            context: self.id.name.clone(),
            message: error.to_string(),
        })
    }
}

impl FeatureExtractor for OnnxExtractor {
    fn id(&self) -> &ExtractorId {
        &self.id
    }

    fn extract(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        let (n, channels, height, width) = images.dim();
        if channels != 3 || height == 0 || width == 0 {
            return Err(ModelError::Shape {
                model: self.id.name.clone(),
                input: "images",
                got: images.shape().to_vec(),
                expected: vec![n, 3, height.max(1), width.max(1)],
            });
        }
        let mut parts = vec![Array2::zeros((0, self.id.dim))];
        for start in (0..n).step_by(self.micro_batch) {
            let end = (start + self.micro_batch).min(n);
            parts.push(self.features(images.slice(s![start..end, .., .., ..]))?);
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let features = concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
            context: self.id.name.clone(),
            message: error.to_string(),
        })?;
        finite(&self.id.name, &features)?;
        Ok(features)
    }
}

fn finite(name: &str, features: &Array2<f32>) -> Result<(), ModelError> {
    let bad: Vec<usize> = features
        .outer_iter()
        .enumerate()
        .filter(|(_, row)| row.iter().any(|v| !v.is_finite()))
        .map(|(index, _)| index)
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(ModelError::Runtime {
        context: name.to_owned(),
        message: format!("features of images {bad:?} of the batch are not finite"),
    })
}
