//! From images to the clean states of a latent model.

use ndarray::{Array4, ArrayView4, Ix4, s};

use super::feed::Feed;
use super::options::RuntimeOptions;
use super::pieces::Pieces;
use super::ports;
use super::session::{GraphSource, OnnxSession};
use crate::model::{Encoder, ModelError};

/// The encoder of a latent model: `x_0 = scale mean(image)`, images f32 in [-1, 1].
///
/// # Why the mean?
/// The encoder of a variational autoencoder answers with the moments of a Gaussian. A draw from it would add noise that no
/// network made to every reconstruction; of a trained KL-f8 it is far below one grey level.
#[derive(Debug)]
pub struct OnnxEncoder {
    session: OnnxSession,
    input: String,
    output: String,
    /// `[c, h, w]` of a latent.
    shape: [usize; 3],
    scale: f32,
    /// Height and width of an image, where the graph says them.
    sides: [Option<usize>; 2],
    pieces: Pieces,
}

impl OnnxEncoder {
    /// Opens an encoder to latents of `shape` `[c, h, w]`.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] unless the graph has one f32 or float16 input `[b, 3, H, W]` and one f32 or float16 output `[b, c, h, w]`, or
    /// `[b, 2 c, h, w]`; [`ModelError::Runtime`] where the runtime refuses it.
    pub fn open(
        name: &str,
        source: GraphSource<'_>,
        (shape, scale): ([usize; 3], f64),
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        use ports::Axis::{Any, Of};
        let session = OnnxSession::open(name, source, options)?;
        let ([input], [output]) = (session.inputs(), session.outputs()) else {
            let message = format!(
                "an encoder has one input and one output, this one has {} and {}",
                session.inputs().len(),
                session.outputs().len()
            );
            return Err(ports::fault(&session, message));
        };
        let pieces = Pieces::of(input, options.micro_batch);
        ports::element(&session, input, &ports::FLOATS)?;
        ports::dims(&session, input, &[pieces.axis(), Of(3), Any("H"), Any("W")])?;
        ports::element(&session, output, &ports::FLOATS)?;
        let [c, h, w] = shape;
        let channels = output.dims.get(1).copied().flatten().filter(|n| *n == 2 * c).unwrap_or(c);
        ports::dims(&session, output, &[pieces.axis(), Of(channels), Of(h), Of(w)])?;
        let sides = [input.dims[2], input.dims[3]];
        let (input, output) = (input.name.clone(), output.name.clone());
        #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
        let scale = scale as f32;
        Ok(Self { session, input, output, shape, scale, sides, pieces })
    }
}

impl Encoder for OnnxEncoder {
    fn encode(&mut self, images: ArrayView4<'_, f32>) -> Result<Array4<f32>, ModelError> {
        let (n, channels, height, width) = images.dim();
        let expected = [1, 3, self.sides[0].unwrap_or(height), self.sides[1].unwrap_or(width)];
        if n == 0 || [1, channels, height, width] != expected {
            return Err(ModelError::Shape {
                model: self.session.graph().to_owned(),
                input: "images",
                got: images.shape().to_vec(),
                expected: [&[n.max(1)], &expected[1..]].concat(),
            });
        }
        let Self { session, input, output, shape, scale, pieces, .. } = self;
        let ([c, h, w], scale) = (*shape, *scale);
        pieces.run(&images, |_, piece| {
            let rows = piece.dim().0;
            let answer = session.run_one(&[(input, Feed::F32(piece.into_dyn()))], output)?;
            let got = answer.shape().to_vec();
            let fits = got == [rows, c, h, w] || got == [rows, 2 * c, h, w];
            match answer.into_dimensionality::<Ix4>() {
                Ok(moments) if fits => {
                    Ok(moments.slice(s![.., ..c, .., ..]).mapv(|mean| scale * mean))
                }
                _ => Err(ports::fault(
                    session,
                    format!(
                        "images of {height} x {width} become {got:?}, expected [{rows}, {c}, {h}, {w}] or [{rows}, {}, {h}, {w}]: give images of the size that the decoder makes",
                        2 * c
                    ),
                )),
            }
        })
    }
}
