//! Text encoders: token ids in, hidden states out.

use ndarray::{Array2, ArrayD};
use ort::value::TensorElementType;

use super::feed::Feed;
use super::options::RuntimeOptions;
use super::ports;
use super::session::{GraphSource, OnnxSession};
use crate::model::ModelError;

/// Input of every exported text encoder.
const INPUT: &str = "input_ids";

/// A text encoder in ONNX Runtime.
#[derive(Debug)]
pub struct TextEncoder {
    session: OnnxSession,
    wide: bool,
}

impl TextEncoder {
    /// Opens a graph from token ids `input_ids [b, n]` to hidden states.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for other inputs, [`ModelError::Runtime`] where the runtime refuses the graph.
    pub fn open(
        name: &str,
        source: GraphSource<'_>,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        use TensorElementType::{Int32, Int64};
        let session = OnnxSession::open(name, source, options)?;
        let port = ports::find(&session, "input", session.inputs(), INPUT)?;
        ports::element(&session, port, &[Int64, Int32])?;
        let wide = port.dtype == Int64;
        ports::no_others(&session, ("a text encoder", &[INPUT]), |_| String::new())?;
        Ok(Self { session, wide })
    }

    /// The outputs `wanted` for token ids `[b, n]`, by one run.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] where there is no such output, or it is neither f32 nor float16; [`ModelError::NotFinite`];
    /// [`ModelError::Runtime`] where the runtime fails.
    pub fn encode(
        &mut self,
        ids: &Array2<u32>,
        wanted: &[&str],
    ) -> Result<Vec<ArrayD<f32>>, ModelError> {
        for output in wanted {
            let port = ports::find(&self.session, "output", self.session.outputs(), output)?;
            ports::element(&self.session, port, &ports::FLOATS)?;
        }
        let wide = ids.mapv(i64::from).into_dyn();
        let narrow = ids.mapv(|id| i32::try_from(id).unwrap_or(i32::MAX)).into_dyn();
        let feed = if self.wide { Feed::I64(wide.view()) } else { Feed::I32(narrow.view()) };
        let states = self.session.run(&[(INPUT, feed)], wanted)?;
        let values = || states.iter().flatten();
        let n = values().filter(|value| !value.is_finite()).count();
        if n == 0 {
            return Ok(states);
        }
        let (model, total) = (self.session.graph().to_owned(), values().count());
        Err(ModelError::NotFinite { model, n, total, t: None, rows: Vec::new() })
    }
}
