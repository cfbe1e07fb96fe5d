//! ONNX Runtime as the [`Runner`] of the passes: no optimisation, CPU. The only door to `ort` in this package.

use std::path::Path;

use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, TensorElementType};

use crate::{Feeds, GraphError, Runner, Source, Tensor, TensorData};

/// Release of ONNX Runtime that the passes are tested with, and that `just setup` installs.
pub const PINNED_VERSION: &str = "1.32.0";

/// Name of the shared library on this platform.
pub const LIBRARY_FILE: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else if cfg!(windows) {
    "onnxruntime.dll"
} else {
    "libonnxruntime.so"
};

/// Runs graphs as they are written.
///
/// Why no optimisation? The passes may ask for any value of a graph, and fused nodes have fewer.
#[derive(Clone, Debug)]
pub struct OrtRunner {
    environment: Environment,
    n_threads: usize,
}

impl OrtRunner {
    /// Loads a library of ONNX Runtime (1.17 or newer); runs with one thread.
    ///
    /// A process has one ONNX Runtime: call this once and clone, or open the environment yourself and call
    /// [`OrtRunner::new`].
    ///
    /// # Errors
    /// [`GraphError::Runtime`] where the file is no such library, or a runtime is open already.
    ///
    /// # Examples
    /// ```
    /// use std::path::Path;
    /// use dubench_graph::OrtRunner;
    /// let error = OrtRunner::load(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
    /// assert!(error.to_string().starts_with("loading ONNX Runtime from /nowhere/libonnxruntime.so"));
    /// ```
    pub fn load(library: &Path) -> Result<Self, GraphError> {
        let context = format!("loading ONNX Runtime from {}", library.display());
        let environment = ort::init_from(library)
            .map_err(|error| failed(&context, &error))?
            .with_name("dubench-graph")
            .with_telemetry(false)
            .build()
            .map_err(|error| failed(&context, &error))?;
        Ok(Self::new(environment, 1))
    }

    /// Uses an environment that is open already, with `n_threads` threads.
    pub fn new(environment: Environment, n_threads: usize) -> Self {
        Self { environment, n_threads }
    }

    fn session(&self, source: Source<'_>) -> Result<Session, GraphError> {
        let configured = |e: &dyn std::fmt::Display| failed("configuring a session", e);
        let builder = Session::builder(&self.environment).map_err(|e| configured(&e))?;
        let builder = builder
            .with_optimization_level(GraphOptimizationLevel::Disable)
            .map_err(|e| configured(&e))?;
        let builder = builder.with_intra_threads(self.n_threads).map_err(|e| configured(&e))?;
        let mut builder = builder.with_intra_op_spinning(false).map_err(|e| configured(&e))?;
        match source {
            Source::Bytes(bytes) => builder.commit_from_memory(bytes),
            Source::File(path) => builder.commit_from_file(path),
        }
        .map_err(|e| failed("loading a graph into ONNX Runtime", &e))
    }
}

impl Runner for OrtRunner {
    fn run(
        &self,
        source: Source<'_>,
        feeds: &[Feeds],
        outputs: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError> {
        let mut session = self.session(source)?;
        feeds.iter().map(|feeds| run_once(&mut session, feeds, outputs)).collect()
    }
}

fn run_once(
    session: &mut Session,
    feeds: &Feeds,
    outputs: &[String],
) -> Result<Vec<Tensor>, GraphError> {
    let inputs = feeds
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), to_value(tensor).map_err(|e| failed(name, &e))?)))
        .collect::<Result<Vec<(String, SessionInputValue<'_>)>, GraphError>>()?;
    let answered = session.run(inputs).map_err(|e| failed("running a graph", &e))?;
    outputs
        .iter()
        .map(|name| match answered.get(name) {
            Some(value) => from_value(value).map_err(|e| failed(name, &e)),
            None => Err(failed(name, &"the graph has no output of this name")),
        })
        .collect()
}

fn failed(context: &str, error: &dyn std::fmt::Display) -> GraphError {
    GraphError::Runtime { context: context.to_owned(), message: error.to_string() }
}

fn to_value(tensor: &Tensor) -> ort::Result<SessionInputValue<'static>> {
    let shape = tensor.shape().to_vec();
    Ok(match tensor.data() {
        TensorData::F32(v) => ort::value::Tensor::from_array((shape, v.clone()))?.into(),
        TensorData::F64(v) => ort::value::Tensor::from_array((shape, v.clone()))?.into(),
        TensorData::I64(v) => ort::value::Tensor::from_array((shape, v.clone()))?.into(),
        TensorData::I32(v) => ort::value::Tensor::from_array((shape, v.clone()))?.into(),
        TensorData::U8(v) => ort::value::Tensor::from_array((shape, v.clone()))?.into(),
        TensorData::Bool(v) => ort::value::Tensor::from_array((shape, v.clone()))?.into(),
    })
}

fn from_value(value: &DynValue) -> Result<Tensor, String> {
    let element = value.dtype().tensor_type().ok_or("is no tensor")?;
    let text = |error: ort::Error| error.to_string();
    let (shape, data) = match element {
        TensorElementType::Float32 => value
            .try_extract_tensor()
            .map(|(s, v)| (s, TensorData::F32(v.to_vec())))
            .map_err(text)?,
        TensorElementType::Float64 => value
            .try_extract_tensor()
            .map(|(s, v)| (s, TensorData::F64(v.to_vec())))
            .map_err(text)?,
        TensorElementType::Int64 => value
            .try_extract_tensor()
            .map(|(s, v)| (s, TensorData::I64(v.to_vec())))
            .map_err(text)?,
        TensorElementType::Int32 => value
            .try_extract_tensor()
            .map(|(s, v)| (s, TensorData::I32(v.to_vec())))
            .map_err(text)?,
        TensorElementType::Uint8 => value
            .try_extract_tensor()
            .map(|(s, v)| (s, TensorData::U8(v.to_vec())))
            .map_err(text)?,
        TensorElementType::Bool => value
            .try_extract_tensor()
            .map(|(s, v)| (s, TensorData::Bool(v.to_vec())))
            .map_err(text)?,
        other => return Err(format!("has element type {other:?}, which no pass reads")),
    };
    let lengths: Vec<usize> = shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    Tensor::new(lengths, data)
        .ok_or_else(|| "has another number of elements than its shape".to_owned())
}
