//! A session: one graph on one device, with checked inputs and outputs.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use half::f16;
use ndarray::{ArrayD, CowArray};
use ort::memory::AllocationDevice;
use ort::session::{Session, SessionInputValue};
use ort::value::{Outlet, TensorElementType};

use super::binding::{Bindings, Call, Residence, Wanted};
use super::cuda::Replay;
use super::cuda_libraries;
use super::device::Device;
use super::environment;
use super::failure::{no_kernel, open_failure, run_failure};
use super::feed::{Feed, Standard};
use super::options::RuntimeOptions;
use super::providers::configure;
use crate::model::ModelError;

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

/// How arrays get to the device and back.
#[derive(Debug)]
enum Transfer {
    /// By the runtime's plain call: inputs are read where they lie.
    Direct,
    /// By buffers that stay.
    Bound(Bindings),
}

impl Transfer {
    fn of(options: &RuntimeOptions) -> Self {
        match (options.device, options.cuda.graph) {
            (Device::Cpu | Device::OpenVino, _) => Self::Direct,
            (Device::Cuda(_), Replay::Off) => Self::Bound(Bindings::new(Residence::Host)),
            (Device::Cuda(ordinal), Replay::On) => {
                let ordinal = i32::try_from(ordinal).unwrap_or(i32::MAX);
                let residence = Residence::Device(AllocationDevice::CUDA, ordinal);
                Self::Bound(Bindings::new(residence))
            }
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
        let named = match source {
            GraphSource::File(path) => format!("{graph}, {}", path.display()),
            GraphSource::Bytes(_) => graph.to_owned(),
        };
        let fail = |what: &str, error: &str| match no_kernel(options.device, error) {
            Some(message) => ModelError::Bundle { path: named.clone(), message },
            None => open_failure(graph, options.device, what, error),
        };
        let _alone = alone(options.device);
        if let Device::Cuda(_) = options.device {
            cuda_libraries::preload()?;
        }
        let mut builder = configure(Session::builder(environment), options)
            .map_err(|(what, error)| fail(what, error.message()))?;
        let session = match source {
            GraphSource::File(path) => builder.commit_from_file(path),
            GraphSource::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
        .map_err(|error| fail("the graph cannot be loaded", error.message()))?;
        let inputs = ports(graph, session.inputs())?;
        let outputs = ports(graph, session.outputs())?;
        Ok(Self { session, graph: named, inputs, outputs, transfer: Transfer::of(options) })
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

    /// Runs the graph and copies the outputs `wanted` out of it. Where the graph takes or gives float16, f32 is rounded on the way
    /// in and widened on the way out.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] when the runtime fails or an output is missing or neither f32 nor float16.
    pub fn run(
        &mut self,
        feeds: &[(&str, Feed<'_>)],
        wanted: &[&str],
    ) -> Result<Vec<ArrayD<f32>>, ModelError> {
        let layout: Vec<(&str, Standard<'_>)> =
            feeds.iter().map(|(name, feed)| (*name, self.fitted(name, feed))).collect();
        let rows = layout.first().and_then(|(_, feed)| feed.shape().first().copied());
        let output = |name: &&'_ str| {
            let port = self.output(name)?;
            Ok(Wanted { name: port.name.clone(), dtype: port.dtype, shape: port.shape(rows) })
        };
        let outputs = wanted.iter().map(output).collect::<Result<Vec<_>, ModelError>>()?;
        let call = Call { feeds: &layout, outputs: &outputs };
        let answers = match &mut self.transfer {
            Transfer::Direct => direct(&mut self.session, &call),
            Transfer::Bound(bindings) => bindings.run(&mut self.session, &call),
        };
        answers.map_err(|error| run_failure(&self.graph, error.message()))
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

    /// A feed in the elements of its input.
    fn fitted<'a>(&self, name: &str, feed: &'a Feed<'_>) -> Standard<'a> {
        let narrow = |port: &Port| port.name == name && port.dtype == TensorElementType::Float16;
        match feed {
            Feed::F32(values) if self.inputs.iter().any(narrow) => {
                let values = values.as_standard_layout().mapv(f16::from_f32);
                Standard::F16(CowArray::from(values))
            }
            _ => feed.standard(),
        }
    }

    fn output(&self, name: &str) -> Result<&Port, ModelError> {
        let port = self.outputs.iter().find(|port| port.name == name);
        let missing = || run_failure(&self.graph, &format!("the graph has no output `{name}`"));
        port.ok_or_else(missing)
    }
}

impl Port {
    /// Shape for a call of so many rows, where the graph leaves only them open.
    fn shape(&self, rows: Option<usize>) -> Option<Vec<usize>> {
        let (first, rest) = self.dims.split_first()?;
        let rest = rest.iter().copied().collect::<Option<Vec<usize>>>()?;
        Some(std::iter::once(first.or(rows)?).chain(rest).collect())
    }
}

/// The runtime's plain call.
fn direct(session: &mut Session, call: &Call<'_>) -> Result<Vec<ArrayD<f32>>, ort::Error> {
    let mut values: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(call.feeds.len());
    for (name, feed) in call.feeds {
        values.push((name, feed.borrowed()?));
    }
    let answers = session.run(values)?;
    super::binding::outputs_of(&answers, call)
}

/// Sessions of a GPU are opened one after another: opened at the same time they fail.
fn alone(device: Device) -> Option<MutexGuard<'static, ()>> {
    static OPENING: Mutex<()> = Mutex::new(());
    (!device.is_host()).then(|| OPENING.lock().unwrap_or_else(PoisonError::into_inner))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ndarray::{Array1, Array4, ArrayD};
    use ort::memory::AllocationDevice;

    use super::{
        Bindings, Device, Feed, GraphSource, OnnxSession, Residence, RuntimeOptions, Transfer,
    };
    use crate::model::ModelError;

    fn tiny(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny").join(name)
    }

    fn open(name: &str) -> OnnxSession {
        let path = tiny(name);
        OnnxSession::open(name, GraphSource::File(&path), &RuntimeOptions::default())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// `0.25 sample` of so many rows that begin at a value.
    fn call(session: &mut OnnxSession, rows: usize, from: f32) -> ArrayD<f32> {
        let x = Array4::from_shape_fn((rows, 3, 4, 4), |(b, c, h, w)| {
            from + (b * 48 + c * 16 + h * 4 + w) as f32 / 7.0
        });
        let t = Array1::from_elem(rows, 5_i64);
        let feeds = [
            ("sample", Feed::F32(x.view().into_dyn())),
            ("timestep", Feed::I64(t.view().into_dyn())),
        ];
        let eps = session.run_one(&feeds, "eps").unwrap();
        assert_eq!(eps[[rows - 1, 0, 0, 0]], 0.25 * x[[rows - 1, 0, 0, 0]]);
        eps
    }

    /// Both places where buffers can lie; the device is the CPU itself.
    fn bound() -> [Bindings; 2] {
        [Residence::Host, Residence::Device(AllocationDevice::CPU, 0)].map(Bindings::new)
    }

    fn n_made(session: &OnnxSession) -> usize {
        match &session.transfer {
            Transfer::Direct => 0,
            Transfer::Bound(bindings) => bindings.n_made(),
        }
    }

    #[test]
    fn bound_calls_give_the_bits_of_direct_ones_and_their_buffers_stay() {
        let calls = [(3, 0.0), (3, 1.5), (2, -1.0), (3, 7.0), (2, 0.1)];
        let mut session = open("quarter.onnx");
        let direct = calls.map(|(rows, from)| call(&mut session, rows, from));
        for bindings in bound() {
            session.transfer = Transfer::Bound(bindings);
            assert_eq!(calls.map(|(rows, from)| call(&mut session, rows, from)), direct);
            assert_eq!(n_made(&session), 2);
            // More sets of shapes than are kept: each is made anew, none is mistaken for another.
            (1..=6).chain(1..=6).for_each(|rows| drop(call(&mut session, rows, 3.0)));
            assert!(n_made(&session) > 6);
        }
    }

    /// The decoder of an export with `--fp16`: it is fed float32 and answers in it, what it answers has eleven bits.
    #[test]
    fn half_precision_is_rounded_to_and_widened_at_the_border_of_the_graph() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/pipelines/half/vae_decoder/model.onnx");
        let options = RuntimeOptions::default();
        let mut session = OnnxSession::open("half", GraphSource::File(&path), &options).unwrap();
        let x = Array4::from_shape_fn((2, 4, 8, 8), |(b, c, h, w)| {
            ((b * 256 + c * 64 + h * 8 + w) as f32 * 0.37).sin()
        });
        let rounded = x.mapv(|value| half::f16::from_f32(value).to_f32());
        assert_ne!(x, rounded);
        let call = |session: &mut OnnxSession, x: &Array4<f32>| {
            session.run_one(&[("latent_sample", Feed::F32(x.view().into_dyn()))], "sample").unwrap()
        };
        let direct = call(&mut session, &x);
        assert_eq!(direct.shape(), [2, 3, 16, 16]);
        assert!(direct.iter().all(|value| half::f16::from_f32(*value).to_f32() == *value));
        assert_eq!(call(&mut session, &rounded), direct);
        // A view whose axes are turned is fed as it is, not as it lies.
        let turned = x.clone().reversed_axes().as_standard_layout().to_owned();
        let turned = turned.view().reversed_axes();
        let feed = [("latent_sample", Feed::F32(turned.into_dyn()))];
        assert_eq!(session.run_one(&feed, "sample").unwrap(), direct);
        let [host, _] = bound();
        session.transfer = Transfer::Bound(host);
        for _ in 0..3 {
            assert_eq!(call(&mut session, &x), direct);
        }
    }

    /// Pages that the process has in memory, in bytes.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    }

    /// A run whose output is not used again leaves its megabyte behind: a thousand of them are a gigabyte.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_thousand_bound_calls_take_no_more_memory_than_ten() {
        for bindings in bound() {
            let mut session = open("quarter.onnx");
            session.transfer = Transfer::Bound(bindings);
            let rows = 5500;
            (0..10).for_each(|_| drop(call(&mut session, rows, 0.0)));
            let before = resident();
            (0..1000).for_each(|_| drop(call(&mut session, rows, 1.0)));
            let growth = resident().saturating_sub(before);
            assert!(growth < 128 << 20, "{} MiB more", growth >> 20);
            assert_eq!(n_made(&session), 1);
        }
    }

    #[test]
    fn buffers_on_a_device_ask_for_outputs_of_known_shapes() {
        let mut session = open("quarter.onnx");
        let [_, resident] = bound();
        session.transfer = Transfer::Bound(resident);
        for dim in &mut session.outputs[0].dims {
            *dim = None;
        }
        let x = Array4::zeros((1, 3, 4, 4));
        let t = Array1::from(vec![0_i64]);
        let feeds = [
            ("sample", Feed::F32(x.view().into_dyn())),
            ("timestep", Feed::I64(t.view().into_dyn())),
        ];
        let error = session.run_one(&feeds, "eps").unwrap_err().to_string();
        assert!(error.contains("the shape of output `eps` is not known"), "{error}");
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_never_the_cpu() {
        let path = tiny("quarter.onnx");
        for (device, remedy) in
            [(Device::Cuda(0), "dubench setup cuda"), (Device::OpenVino, "dubench setup openvino")]
        {
            let options = RuntimeOptions { device, ..RuntimeOptions::default() };
            match OnnxSession::open("quarter", GraphSource::File(&path), &options) {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&device.to_string()) && text.contains(remedy), "{text}");
                }
                // On a machine with a working build for it the session must really be there.
                Ok(session) => {
                    let is_bound = matches!(session.transfer, Transfer::Bound(_));
                    assert_eq!(is_bound, device == Device::Cuda(0));
                }
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
