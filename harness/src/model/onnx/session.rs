//! A session: one graph on one device, with checked inputs and outputs.

use std::path::{Path, PathBuf};

use half::f16;
use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, Tensor, TensorElementType, TensorRef};

use super::device::Device;
use super::environment;
use crate::config::precision_yaml::PrecisionYaml;
use crate::model::ModelError;

/// How sessions are opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeOptions {
    /// Processor.
    pub device: Device,
    /// Threads inside one operator (CPU).
    pub threads: usize,
    /// Rows of one call to the runtime; larger batches are cut.
    pub micro_batch: usize,
    /// Bytes that the working values of one network may take; `None`: batches are as large as they are asked for.
    pub memory: Option<u64>,
    /// What happens to operators that the device cannot run.
    pub fallback: Fallback,
    /// What a device that has a choice computes in.
    pub precision: PrecisionYaml,
    /// Library to load; `None` searches as [`environment::library_path`] says.
    pub library: Option<PathBuf>,
}

/// What happens to operators that the requested device cannot run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Opening fails.
    #[default]
    Refuse,
    /// They run on the CPU, as ONNX Runtime does by itself.
    Cpu,
}

impl Default for RuntimeOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            threads: 1,
            micro_batch: 32,
            memory: None,
            fallback: Fallback::Refuse,
            precision: PrecisionYaml::Float32,
            library: None,
        }
    }
}

/// Where the bytes of a graph are.
#[derive(Clone, Copy, Debug)]
pub enum GraphSource<'a> {
    /// A file; its external data lie beside it.
    File(&'a Path),
    /// A derived graph in memory.
    Bytes(&'a [u8]),
}

/// Name, element type and dimensions of an input or output; `None` stands for a symbolic dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name in the graph.
    pub name: String,
    /// Element type.
    pub dtype: TensorElementType,
    /// Dimensions.
    pub dims: Vec<Option<usize>>,
}

/// One input of one call.
#[derive(Clone, Debug)]
pub enum Feed<'a> {
    /// `f32`.
    F32(ArrayViewD<'a, f32>),
    /// `f64`.
    F64(ArrayViewD<'a, f64>),
    /// `f16`.
    F16(ArrayViewD<'a, f16>),
    /// `i64`.
    I64(ArrayViewD<'a, i64>),
    /// `i32`.
    I32(ArrayViewD<'a, i32>),
    /// `u8`.
    U8(ArrayViewD<'a, u8>),
}

/// How arrays get to the device and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transfer {
    /// By the runtime's plain call.
    Direct,
    /// By a binding: inputs go to the device before the run starts, outputs come back after it.
    Bound,
}

impl Transfer {
    fn of(device: Device) -> Self {
        match device {
            Device::Cpu | Device::OpenVino => Self::Direct,
            Device::Cuda(_) => Self::Bound,
        }
    }
}

/// One graph on one device.
#[derive(Debug)]
pub struct OnnxSession {
    session: Session,
    /// Name and, where there is one, the file.
    graph: String,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    transfer: Transfer,
}

impl OnnxSession {
    /// Opens a graph. `graph` is its name in errors.
    ///
    /// The optimisation level is `All`, always: other levels differ in the last bits (1e-6 relative).
    ///
    /// # Errors
    /// [`ModelError::Runtime`] when the library, the device or the graph cannot be had.
    pub fn open(
        graph: &str,
        source: GraphSource<'_>,
        options: &RuntimeOptions,
    ) -> Result<Self, ModelError> {
        let environment = environment::environment(options.library.as_deref())?;
        let fail = |what: &str, error: &str| {
            let missing = no_kernel(options.device, error).map(|message| {
                let path = match source {
                    GraphSource::File(path) => format!("{graph}, {}", path.display()),
                    GraphSource::Bytes(_) => graph.to_owned(),
                };
                ModelError::Bundle { path, message }
            });
            missing.unwrap_or_else(|| open_failure(graph, options.device, what, error))
        };
        let mut builder = configure(Session::builder(environment), options)
            .map_err(|(what, error)| fail(what, error.message()))?;
        let session = match source {
            GraphSource::File(path) => builder.commit_from_file(path),
            GraphSource::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
        .map_err(|error| fail("the graph cannot be loaded", error.message()))?;
        let inputs = ports(graph, session.inputs())?;
        let outputs = ports(graph, session.outputs())?;
        let transfer = Transfer::of(options.device);
        let graph = match source {
            GraphSource::File(path) => format!("{graph}, {}", path.display()),
            GraphSource::Bytes(_) => graph.to_owned(),
        };
        Ok(Self { session, graph, inputs, outputs, transfer })
    }

    /// Name of the graph in errors.
    pub fn graph(&self) -> &str {
        &self.graph
    }

    /// Inputs in graph order.
    pub fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    /// Outputs in graph order.
    pub fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    /// Runs the graph and copies the outputs `wanted`, all of them f32, out of it.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] when the runtime fails or an output is missing or not f32.
    pub fn run(
        &mut self,
        feeds: &[(&str, Feed<'_>)],
        wanted: &[&str],
    ) -> Result<Vec<ArrayD<f32>>, ModelError> {
        let layout: Vec<(&str, Standard<'_>)> =
            feeds.iter().map(|(name, feed)| (*name, feed.standard())).collect();
        let graph = &self.graph;
        let fail = |error: ort::Error| run_failure(graph, error.message());
        let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(layout.len());
        for (name, feed) in &layout {
            values.push((name, feed.value(self.transfer).map_err(fail)?));
        }
        match self.transfer {
            Transfer::Direct => {
                let answers = self.session.run(values).map_err(fail)?;
                copy_out(graph, &answers, wanted)
            }
            Transfer::Bound => {
                let mut binding = self.session.create_binding().map_err(fail)?;
                for (name, value) in &values {
                    binding.bind_input(*name, &**value).map_err(fail)?;
                }
                let host = MemoryInfo::new(
                    AllocationDevice::CPU,
                    0,
                    AllocatorType::Device,
                    MemoryType::CPUOutput,
                )
                .map_err(fail)?;
                for name in wanted {
                    binding.bind_output_to_device(*name, &host).map_err(fail)?;
                }
                binding.synchronize_inputs().map_err(fail)?;
                let answers = self.session.run_binding(&binding).map_err(fail)?;
                binding.synchronize_outputs().map_err(fail)?;
                copy_out(graph, &answers, wanted)
            }
        }
    }

    /// As [`OnnxSession::run`], for one output.
    ///
    /// # Errors
    /// As [`OnnxSession::run`].
    pub fn run_one(
        &mut self,
        feeds: &[(&str, Feed<'_>)],
        wanted: &str,
    ) -> Result<ArrayD<f32>, ModelError> {
        self.run(feeds, &[wanted]).map(|mut outputs| outputs.remove(0))
    }
}

fn copy_out(
    graph: &str,
    answers: &SessionOutputs<'_>,
    wanted: &[&str],
) -> Result<Vec<ArrayD<f32>>, ModelError> {
    let copy = |name: &&str| {
        let value = answers
            .get(name)
            .ok_or_else(|| run_failure(graph, &format!("the graph has no output `{name}`")))?;
        let view = value
            .try_extract_array::<f32>()
            .map_err(|error: ort::Error| run_failure(graph, error.message()))?;
        Ok(view.to_owned())
    };
    wanted.iter().map(copy).collect()
}

/// A feed in standard layout, which is what the runtime takes.
enum Standard<'a> {
    F32(CowArray<'a, f32, IxDyn>),
    F64(CowArray<'a, f64, IxDyn>),
    F16(CowArray<'a, f16, IxDyn>),
    I64(CowArray<'a, i64, IxDyn>),
    I32(CowArray<'a, i32, IxDyn>),
    U8(CowArray<'a, u8, IxDyn>),
}

impl Feed<'_> {
    fn standard(&self) -> Standard<'_> {
        match self {
            Self::F32(view) => Standard::F32(view.as_standard_layout()),
            Self::F64(view) => Standard::F64(view.as_standard_layout()),
            Self::F16(view) => Standard::F16(view.as_standard_layout()),
            Self::I64(view) => Standard::I64(view.as_standard_layout()),
            Self::I32(view) => Standard::I32(view.as_standard_layout()),
            Self::U8(view) => Standard::U8(view.as_standard_layout()),
        }
    }
}

impl Standard<'_> {
    /// Why copies for a binding? `ort` 2.0.0-rc.15 never returns from binding a borrowed tensor.
    fn value(&self, transfer: Transfer) -> Result<SessionInputValue<'_>, ort::Error> {
        Ok(match (self, transfer) {
            (Self::F32(array), Transfer::Direct) => {
                TensorRef::from_array_view(array.view())?.into()
            }
            (Self::F64(array), Transfer::Direct) => {
                TensorRef::from_array_view(array.view())?.into()
            }
            (Self::F16(array), Transfer::Direct) => {
                TensorRef::from_array_view(array.view())?.into()
            }
            (Self::I64(array), Transfer::Direct) => {
                TensorRef::from_array_view(array.view())?.into()
            }
            (Self::I32(array), Transfer::Direct) => {
                TensorRef::from_array_view(array.view())?.into()
            }
            (Self::U8(array), Transfer::Direct) => TensorRef::from_array_view(array.view())?.into(),
            (Self::F32(array), Transfer::Bound) => Tensor::from_array(array.to_owned())?.into(),
            (Self::F64(array), Transfer::Bound) => Tensor::from_array(array.to_owned())?.into(),
            (Self::F16(array), Transfer::Bound) => Tensor::from_array(array.to_owned())?.into(),
            (Self::I64(array), Transfer::Bound) => Tensor::from_array(array.to_owned())?.into(),
            (Self::I32(array), Transfer::Bound) => Tensor::from_array(array.to_owned())?.into(),
            (Self::U8(array), Transfer::Bound) => Tensor::from_array(array.to_owned())?.into(),
        })
    }
}

type Step = (&'static str, ort::Error);

fn configure(
    builder: ort::Result<SessionBuilder>,
    options: &RuntimeOptions,
) -> Result<SessionBuilder, Step> {
    let plain = |what: &'static str| move |error: ort::Error<SessionBuilder>| (what, error.into());
    let mut builder = builder
        .map_err(|error| ("no session can be made", error))?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(plain("the optimisation level was refused"))?
        .with_intra_threads(options.threads.max(1))
        .map_err(plain("the thread count was refused"))?
        .with_inter_threads(1)
        .map_err(plain("the thread count was refused"))?
        // Why no spinning? Idle workers that spin take the cores from everything else; on a shared
        // machine that costs far more than the microseconds of a wake-up.
        .with_intra_op_spinning(false)
        .map_err(plain("the spin option was refused"))?;
    let how = (options.threads, options.precision);
    let providers = options
        .device
        .providers(how)
        .map_err(|e| ("the device", ort::Error::new(e.to_string())))?;
    if !providers.is_empty() {
        builder = builder.with_execution_providers(providers).map_err(|error| {
            let message = format!("{}; {}", error.message().trim_end(), options.device.remedy());
            ("the device cannot be used", ort::Error::new(message))
        })?;
        if options.fallback == Fallback::Refuse {
            builder = builder
                .with_disable_cpu_fallback()
                .map_err(plain("CPU fall-back cannot be switched off"))?;
        }
    }
    Ok(builder)
}

fn ports(graph: &str, outlets: &[Outlet]) -> Result<Vec<Port>, ModelError> {
    let port = |outlet: &Outlet| {
        let dtype = outlet.dtype().tensor_type();
        let shape = outlet.dtype().tensor_shape();
        let (Some(dtype), Some(shape)) = (dtype, shape) else {
            return Err(run_failure(graph, &format!("`{}` is not a tensor", outlet.name())));
        };
        let dims = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        Ok(Port { name: outlet.name().to_owned(), dtype, dims })
    };
    outlets.iter().map(port).collect()
}

fn open_failure(graph: &str, device: Device, what: &str, error: &str) -> ModelError {
    ModelError::Runtime {
        context: format!("{graph} on {device}"),
        message: format!("{what}: {error}"),
    }
}

fn run_failure(graph: &str, error: &str) -> ModelError {
    let (context, message) = (graph.to_owned(), error.to_owned());
    if is_out_of_memory(error) {
        return ModelError::OutOfMemory { context, message };
    }
    match shapes_apart(error) {
        Some(message) => ModelError::Bundle { path: context, message },
        None => ModelError::Runtime { context, message },
    }
}

/// What a node said that the device has no kernel for, with the remedy.
fn no_kernel(device: Device, error: &str) -> Option<String> {
    let (_, rest) = error.split_once("Could not find an implementation for ")?;
    let (operator, rest) = rest.split_once(" node with name '")?;
    let (node, _) = rest.split_once('\'')?;
    let operator = operator.split_once('(').map_or(operator, |(name, _)| name);
    Some(format!(
        "node {node} ({operator}) has no kernel on {device} for its element types, of which bfloat16 has next to none: export the network in float32 or float16"
    ))
}

/// What a node that cannot take the shapes it is given said, with the remedy.
fn shapes_apart(error: &str) -> Option<String> {
    let (_, rest) = error.split_once("while running ")?;
    let (operator, rest) = rest.split_once(" node. Name:'")?;
    let (node, reason) = rest.split_once("' Status Message: ")?;
    // In front of the reason stand a line of the runtime's source and its condition.
    let reason = reason.rsplit_once(" was false. ").map_or(reason, |(_, reason)| reason).trim();
    let words = ["broadcast", "shape", "dimension"];
    words.iter().any(|word| reason.to_lowercase().contains(word)).then(|| {
        format!(
            "node {node} ({operator}) cannot take what it is given: {reason}; check `task.image` of model.yaml, or export the network for images of this size"
        )
    })
}

/// Whether the runtime failed for want of memory. Its error codes do not tell, its words do: those of its arena on
/// the CPU and on CUDA, of the C++ allocator, and of the CUDA libraries.
fn is_out_of_memory(error: &str) -> bool {
    let words = [
        "Failed to allocate memory",
        "bad_alloc",
        "CUDA out of memory",
        "CUDA failure 2: out of memory",
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED",
    ];
    words.iter().any(|words| error.contains(words))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ndarray::{Array1, Array4};

    use super::{Feed, GraphSource, OnnxSession, RuntimeOptions, Transfer, run_failure};
    use crate::model::ModelError;
    use crate::model::onnx::Device;

    fn tiny(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
    }

    fn open(name: &str) -> OnnxSession {
        let path = tiny(name);
        OnnxSession::open(name, GraphSource::File(&path), &RuntimeOptions::default())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_bound_call_gives_the_bits_of_a_direct_one() {
        let mut session = open("quarter.onnx");
        let x = Array4::from_shape_fn((3, 3, 4, 4), |(b, c, h, w)| {
            (b * 48 + c * 16 + h * 4 + w) as f32 / 7.0
        });
        let t = Array1::from(vec![0_i64, 5, 9]);
        let feeds = [
            ("sample", Feed::F32(x.view().into_dyn())),
            ("timestep", Feed::I64(t.view().into_dyn())),
        ];
        let direct = session.run_one(&feeds, "eps").unwrap();
        session.transfer = Transfer::Bound;
        let bound = session.run_one(&feeds, "eps").unwrap();
        assert_eq!(direct, bound);
        assert_eq!(direct[[1, 0, 0, 0]], 0.25 * x[[1, 0, 0, 0]]);
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_never_the_cpu() {
        let path = tiny("quarter.onnx");
        for (device, remedy) in
            [(Device::Cuda(0), "onnxruntime-cuda"), (Device::OpenVino, "onnxruntime-openvino")]
        {
            let options = RuntimeOptions { device, ..RuntimeOptions::default() };
            match OnnxSession::open("quarter", GraphSource::File(&path), &options) {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&device.to_string()) && text.contains(remedy), "{text}");
                }
                // On a machine with a working build for it the session must really be there.
                Ok(session) => assert_eq!(session.transfer, Transfer::of(device)),
            }
        }
    }

    #[test]
    fn what_the_device_has_no_kernel_for_is_refused_by_node() {
        let path = tiny("bfloat16.onnx");
        let opened =
            OnnxSession::open("half", GraphSource::File(&path), &RuntimeOptions::default());
        let error = opened.unwrap_err();
        assert!(matches!(error, ModelError::Bundle { .. }), "{error}");
        let text = error.to_string();
        let expected = format!("half, {}: node scaled (Mul) has no kernel on cpu", path.display());
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains("export the network in float32 or float16"), "{text}");
    }

    #[test]
    fn a_damaged_graph_is_an_error_with_its_name() {
        let bytes = std::fs::read(tiny("quarter.onnx")).unwrap();
        let cut = GraphSource::Bytes(&bytes[..bytes.len() / 2]);
        let error =
            OnnxSession::open("halved", cut, &RuntimeOptions::default()).unwrap_err().to_string();
        assert!(error.starts_with("halved on cpu: the graph cannot be loaded"), "{error}");
    }

    #[test]
    fn want_of_memory_is_told_from_other_failures() {
        // As ONNX Runtime 1.32 says it under a limit of the address space.
        let words = "Non-zero status code returned while running Conv node. Name:'c' Status Message: \
                     bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 268435456";
        assert!(matches!(run_failure("g", words), ModelError::OutOfMemory { .. }));
        assert!(matches!(run_failure("g", "Invalid input shape"), ModelError::Runtime { .. }));
        // ONNX Runtime 1.32.0 on `fixed_positions.onnx`.
        let words = "Non-zero status code returned while running Add node. Name:'positions' Status Message: \
                     /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:563 void \
                     onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. \
                     Attempting to broadcast an axis by a dimension other than 1. 4 by 6";
        assert_eq!(
            run_failure("g, g.onnx", words).to_string(),
            "g, g.onnx: node positions (Add) cannot take what it is given: Attempting to broadcast an axis by a \
             dimension other than 1. 4 by 6; check `task.image` of model.yaml, or export the network for images of this size"
        );
    }

    #[test]
    fn an_output_that_is_not_there_is_named() {
        let mut session = open("quarter.onnx");
        let x = Array4::zeros((1, 3, 4, 4));
        let t = Array1::from(vec![0_i64]);
        let feeds = [
            ("sample", Feed::F32(x.view().into_dyn())),
            ("timestep", Feed::I64(t.view().into_dyn())),
        ];
        let error = session.run_one(&feeds, "noise").unwrap_err().to_string();
        assert!(error.contains("no output `noise`"), "{error}");
    }
}
