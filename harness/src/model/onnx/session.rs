//! A session: one graph on one device, with checked inputs and outputs.

#[cfg(test)]
mod tests;

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
