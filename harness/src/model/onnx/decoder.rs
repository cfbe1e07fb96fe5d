//! From the final state of a trajectory to u8 images.

use ndarray::{Array4, ArrayView4, Axis, Ix4};

use super::feed::Feed;
use super::options::RuntimeOptions;
use super::pieces::Pieces;
use super::ports;
use super::session::{GraphSource, OnnxSession};
use crate::config::pipeline::LatentScale;
use crate::model::analytic::IdentityDecoder;
use crate::model::{Decoder, ModelError};

/// The decoder of a latent model: `image = decoder(latent / scale + shift)`, f32 in [-1, 1].
#[derive(Debug)]
pub struct OnnxDecoder {
    session: OnnxSession,
    input: String,
    output: String,
    shape: [usize; 3],
    scale: f32,
    shift: f32,
    pieces: Pieces,
}

impl OnnxDecoder {
    /// Opens a decoder for latents of `shape` `[c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] unless the graph has one f32 or float16 input `[b, c, h, w]` and one f32 or float16 output
    /// of 3 channels; [`ModelError::Runtime`] where the runtime refuses it.
    pub fn open(
        name: &str,
        source: GraphSource<'_>,
        shape: [usize; 3],
        scale: LatentScale,
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
        let pieces = Pieces::of(input, options.micro_batch);
        ports::element(&session, input, &ports::FLOATS)?;
        ports::dims(&session, input, &[pieces.axis(), c, h, w])?;
        ports::element(&session, output, &ports::FLOATS)?;
        let (input, output) = (input.name.clone(), output.name.clone());
        #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
        let (scale, shift) = (scale.scale as f32, scale.shift as f32);
        Ok(Self { session, input, output, shape, scale, shift, pieces })
    }

    fn run(&mut self, latents: &ArrayView4<'_, f32>) -> Result<Array4<f32>, ModelError> {
        let mut scaled = latents.mapv(|value| value / self.scale);
        if self.shift != 0.0 {
            scaled += self.shift;
        }
        let feeds = [(self.input.as_str(), Feed::F32(scaled.view().into_dyn()))];
        let answer = self.session.run_one(&feeds, &self.output)?;
        let got = answer.shape().to_vec();
        match answer.into_dimensionality::<Ix4>() {
            Ok(images) if got[0] == latents.dim().0 && got[1] == 3 => Ok(images),
            _ => Err(ports::fault(
                &self.session,
                format!(
                    "the decoder answers with shape {got:?}, expected [{}, 3, H, W]",
                    latents.dim().0
                ),
            )),
        }
    }
}

impl OnnxDecoder {
    /// As pixel models' images are made, with the rows of the whole batch in the error.
    fn grey_levels(
        &self,
        images: &Array4<f32>,
        first_row: usize,
    ) -> Result<Array4<u8>, ModelError> {
        IdentityDecoder.decode(images.view()).map_err(|error| match error {
            ModelError::NotFinite { n, total, t, rows, .. } => ModelError::NotFinite {
                model: self.session.graph().to_owned(),
                n,
                total,
                t,
                rows: rows.into_iter().map(|row| row + first_row).collect(),
            },
            other => other,
        })
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
        self.pieces.run(&x0, |start, latents| {
            let mut images = self.run(&latents)?;
            // Rows that fill a call up are nobody's.
            images.slice_axis_inplace(Axis(0), (0..latents.dim().0.min(n - start)).into());
            self.grey_levels(&images, start)
        })
    }
}
