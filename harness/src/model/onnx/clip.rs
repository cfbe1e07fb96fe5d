//! CLIP: texts and images to embeddings that can be compared.

use ndarray::{Array2, Array4, ArrayD, ArrayView4, Ix2, aview1};
use ort::value::TensorElementType;

use super::options::RuntimeOptions;
use super::pieces::Pieces;
use super::ports::{self, Axis};
use super::session::{GraphSource, OnnxSession};
use super::values::Values;
use crate::config::pipeline::ClipFiles;
use crate::model::ModelError;

const IDS: &str = "input_ids";
const MASK: &str = "attention_mask";
const PIXELS: &str = "pixel_values";
const TEXT: &str = "text_embeds";
const IMAGE: &str = "image_embeds";

/// A text as the graph takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipText {
    /// Token ids, filled up.
    pub ids: Vec<u32>,
    /// How many of them are the text's.
    pub n_own: usize,
}

/// A CLIP export in ONNX Runtime: one graph for both, or a graph each.
#[derive(Debug)]
pub struct ClipNetwork {
    image: OnnxSession,
    /// `None` where the graph of images takes texts too.
    text: Option<OnnxSession>,
    side: usize,
    /// What a graph for both is fed as text when it is asked for images.
    blank: ClipText,
    pieces: Pieces,
}

impl ClipNetwork {
    /// Opens the graphs, for images of `side x side` pixels.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for other inputs and outputs, [`ModelError::Runtime`] where the runtime refuses a graph.
    pub fn open(
        files: &ClipFiles,
        (side, blank): (usize, ClipText),
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let open =
            |path: &std::path::Path| OnnxSession::open("clip", GraphSource::File(path), options);
        let (image, text) = match files {
            ClipFiles::Whole(path) => (open(path)?, None),
            ClipFiles::Halves { text, image } => (open(image)?, Some(open(text)?)),
        };
        let pixels = ports::find(&image, "input", image.inputs(), PIXELS)?;
        ports::element(&image, pixels, &ports::FLOATS)?;
        let pieces = Pieces::of(pixels, options.micro_batch);
        let axes = [pieces.axis(), Axis::Of(3), Axis::Of(side), Axis::Of(side)];
        ports::dims(&image, pixels, &axes)?;
        for (session, output) in [(&image, IMAGE), (text.as_ref().unwrap_or(&image), TEXT)] {
            let port = ports::find(session, "output", session.outputs(), output)?;
            ports::element(session, port, &ports::FLOATS)?;
            ports::no_others(session, ("CLIP", &[IDS, MASK, PIXELS]), |_| String::new())?;
        }
        let of_text = text.as_ref().unwrap_or(&image);
        let ids = ports::find(of_text, "input", of_text.inputs(), IDS)?;
        ports::element(of_text, ids, &[TensorElementType::Int64, TensorElementType::Int32])?;
        Ok(Self { image, text, side, blank, pieces })
    }

    /// Embedding of a text.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] where the runtime fails, [`ModelError::NotFinite`], [`ModelError::Bundle`] for an answer that is
    /// no embedding.
    pub fn text(&mut self, text: &ClipText) -> Result<Vec<f32>, ModelError> {
        let pixels = Array4::zeros((self.pieces.rows(1), 3, self.side, self.side));
        let session = self.text.as_mut().unwrap_or(&mut self.image);
        let embeds = embeddings(session, text, &pixels.view(), (TEXT, 1))?;
        Ok(embeds.row(0).to_vec())
    }

    /// Embeddings `[n, d]` of prepared images `[n, 3, side, side]`.
    ///
    /// # Errors
    /// As [`ClipNetwork::text`].
    pub fn images(&mut self, pixels: &ArrayView4<'_, f32>) -> Result<Array2<f32>, ModelError> {
        let Self { image, blank, pieces, .. } = self;
        pieces.run(pixels, |_, piece| {
            let rows = piece.dim().0;
            embeddings(image, blank, &piece, (IMAGE, rows))
        })
    }

    /// The graph of images in errors.
    pub fn graph(&self) -> &str {
        self.image.graph()
    }
}

/// Feeds what the graph asks for, and takes one output of so many rows.
fn embeddings(
    session: &mut OnnxSession,
    text: &ClipText,
    pixels: &ArrayView4<'_, f32>,
    (output, rows): (&str, usize),
) -> Result<Array2<f32>, ModelError> {
    let own = (0_u32..).take(text.ids.len()).map(|at| u32::from((at as usize) < text.n_own));
    let mask: Vec<u32> = own.collect();
    let mut values: Vec<(String, Values)> = Vec::new();
    for port in session.inputs() {
        let whole = |row: &[u32]| whole(row, port.dtype);
        let value = match port.name.as_str() {
            IDS => whole(&text.ids),
            MASK => whole(&mask),
            _ => Values::F32(pixels.to_owned().into_dyn()),
        };
        values.push((port.name.clone(), value));
    }
    let feeds: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), value.feed())).collect();
    let answer = session.run_one(&feeds, output)?;
    let n = answer.iter().filter(|value| !value.is_finite()).count();
    if n > 0 {
        let (model, total) = (session.graph().to_owned(), answer.len());
        return Err(ModelError::NotFinite { model, n, total, t: None, rows: Vec::new() });
    }
    let got = answer.shape().to_vec();
    match answer.into_dimensionality::<Ix2>() {
        Ok(embeds) if embeds.nrows() == rows && embeds.ncols() > 0 => Ok(embeds),
        _ => Err(ports::fault(
            session,
            format!("`{output}` has shape {got:?}, expected [{rows}, d]: export CLIP again"),
        )),
    }
}

/// A row of whole numbers `[1, n]`.
fn whole(row: &[u32], dtype: TensorElementType) -> Values {
    let row = aview1(row).insert_axis(ndarray::Axis(0)).into_dyn();
    if dtype == TensorElementType::Int32 {
        let narrow: ArrayD<i32> = row.mapv(|id| i32::try_from(id).unwrap_or(i32::MAX));
        return Values::I32(narrow);
    }
    Values::I64(row.mapv(i64::from))
}
