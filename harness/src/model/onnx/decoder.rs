//! From the final state of a trajectory to u8 images.

use ndarray::{Array4, ArrayView4, Ix4, s};
use ort::value::TensorElementType;

use super::ports;
use super::session::{Feed, GraphSource, OnnxSession, RuntimeOptions};
use crate::model::{Decoder, ModelError};
use crate::units::Timestep;

/// The decoder of a latent model: `image = decoder(latent / scale)`, f32 in [-1, 1].
#[derive(Debug)]
pub struct OnnxDecoder {
    session: OnnxSession,
    input: String,
    output: String,
    shape: [usize; 3],
    scale: f32,
    micro_batch: usize,
}

impl OnnxDecoder {
    /// Opens a decoder for latents of `shape` `[c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] unless the graph has one f32 input `[b, c, h, w]` and one f32 output
    /// of 3 channels; [`ModelError::Runtime`] where the runtime refuses it.
    pub fn open(
        name: &str,
        source: GraphSource<'_>,
        shape: [usize; 3],
        scale: f64,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let session = OnnxSession::open(name, source, options)?;
        let ([input], [output]) = (session.inputs(), session.outputs()) else {
            let message = format!(
                "a decoder has one input and one output, this one has {} and {}",
                session.inputs().len(),
                session.outputs().len()
            );
            return Err(ports::fault(&session, message));
        };
        let [c, h, w] = shape.map(ports::Axis::Of);
        ports::element(&session, input, &[TensorElementType::Float32])?;
        ports::dims(&session, input, &[ports::Axis::Batch, c, h, w])?;
        ports::element(&session, output, &[TensorElementType::Float32])?;
        let (input, output) = (input.name.clone(), output.name.clone());
        #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
        let scale = scale as f32;
        Ok(Self { session, input, output, shape, scale, micro_batch: options.micro_batch.max(1) })
    }

    fn run(&mut self, latents: ArrayView4<'_, f32>) -> Result<Array4<f32>, ModelError> {
        let scaled = latents.mapv(|value| value / self.scale);
        let feeds = [(self.input.as_str(), Feed::F32(scaled.view().into_dyn()))];
        let answer = self.session.run_one(&feeds, &self.output)?;
        let got = answer.shape().to_vec();
        match answer.into_dimensionality::<Ix4>() {
            Ok(images) if got[0] == latents.dim().0 && got[1] == 3 => Ok(images),
            _ => Err(ports::fault(
                &self.session,
                format!("the decoder answers with shape {got:?}, expected [{}, 3, H, W]", latents.dim().0),
            )),
        }
    }
}

impl Decoder for OnnxDecoder {
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
        let (n, [c, h, w]) = (x0.dim().0, self.shape);
        if n == 0 || x0.shape() != [n, c, h, w] {
            return Err(ModelError::Shape {
                model: self.session.graph().to_owned(),
                input: "latent",
                got: x0.shape().to_vec(),
                expected: vec![n.max(1), c, h, w],
            });
        }
        let mut parts = Vec::new();
        for start in (0..n).step_by(self.micro_batch) {
            let end = (start + self.micro_batch).min(n);
            let images = self.run(x0.slice(s![start..end, .., .., ..]))?;
            parts.push(grey_levels(self.session.graph(), images.view())?);
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        ndarray::concatenate(ndarray::Axis(0), &views)
            .map_err(|error| ports::fault(&self.session, error.to_string()))
    }
}

/// The decoder of a pixel model: clamp to [-1, 1], scale, round.
#[derive(Clone, Debug)]
pub struct PixelDecoder {
    name: String,
}

impl PixelDecoder {
    /// `name` is the bundle's, for errors.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

impl Decoder for PixelDecoder {
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
        grey_levels(&self.name, x0)
    }
}

/// `round(127.5 (clamp(x, -1, 1) + 1))`, halves to even as in NumPy and `torch.round`.
fn grey_levels(model: &str, images: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
    let broken = |row: &ArrayView4<'_, f32>| row.iter().filter(|v| !v.is_finite()).count();
    let n = broken(&images);
    if n > 0 {
        let rows = images.outer_iter().enumerate();
        return Err(ModelError::NotFinite {
            model: model.to_owned(),
            n,
            total: images.len(),
            t: Timestep(0),
            rows: rows
                .filter(|(_, row)| row.iter().any(|v| !v.is_finite()))
                .map(|(index, _)| index)
                .collect(),
        });
    }
    Ok(images.mapv(grey_level))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was clamped, so the result lies in 0..=255"
)]
fn grey_level(value: f32) -> u8 {
    ((f64::from(value).clamp(-1.0, 1.0) + 1.0) * 127.5).round_ties_even() as u8
}
