//! Calls whose inputs and outputs lie in buffers that stay: what a GPU needs.
//!
//! The plain call gives every answer memory of its own. On a GPU that memory is pinned or lies on the device, and does not
//! come back as fast as it is asked for. Here a set of shapes has its buffers once: inputs are copied into them, the runtime
//! writes outputs into them, and a call of the same shapes finds them again. Nothing but the place of the bytes differs, so
//! the CPU runs and tests this code too.

use half::f16;
use ndarray::ArrayD;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, RunOptions, Session, SessionOutputs};
use ort::value::{DynTensor, TensorElementType, TensorValueTypeMarker, Value};

use super::feed::Standard;

/// Sets of shapes whose buffers are kept: whole batches and the rest of a block, of two kinds of calls.
const KEPT: usize = 4;

/// Where the buffers of a session lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Residence {
    /// In the memory of the host: the runtime copies inputs to the device when they are bound.
    Host,
    /// On the device, at addresses that never change, as CUDA graphs ask for; values are copied there before a run and
    /// back after it.
    Device(AllocationDevice<'static>, i32),
}

/// One call: inputs, and the outputs that are asked for with the shapes that they will have, where those are known.
pub(super) struct Call<'a> {
    pub(super) feeds: &'a [(&'a str, Standard<'a>)],
    pub(super) outputs: &'a [Wanted],
}

/// An output that is asked for.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) dtype: TensorElementType,
    /// Its shape, where that is known before the run.
    pub(super) shape: Option<Vec<usize>>,
}

/// Buffers of a session, by the shapes that they are for; the last one used stands last.
#[derive(Debug)]
pub(super) struct Bindings {
    residence: Residence,
    known: Vec<Bound>,
    /// Sets of buffers that were made so far.
    n_made: usize,
}

impl Bindings {
    pub(super) fn new(residence: Residence) -> Self {
        Self { residence, known: Vec::new(), n_made: 0 }
    }

    /// Sets of buffers that were made so far.
    #[cfg(test)]
    pub(super) fn n_made(&self) -> usize {
        self.n_made
    }

    /// The f32 outputs of one call.
    pub(super) fn run(
        &mut self,
        session: &mut Session,
        call: &Call<'_>,
    ) -> Result<Vec<ArrayD<f32>>, ort::Error> {
        let key = Key::of(call);
        let mut bound = if let Some(at) = self.known.iter().position(|bound| bound.key == key) {
            self.known.remove(at)
        } else {
            self.n_made += 1;
            Bound::new(session, (key, call), (&self.residence, self.n_made))?
        };
        bound.fill(call)?;
        let answers = bound.run(session, call)?;
        // A set that has failed is not kept.
        if self.known.len() == KEPT {
            self.known.remove(0);
        }
        self.known.push(bound);
        Ok(answers)
    }
}

/// What buffers are for.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    inputs: Vec<(String, TensorElementType, Vec<usize>)>,
    outputs: Vec<String>,
}

impl Key {
    fn of(call: &Call<'_>) -> Self {
        let input = |(name, feed): &(&str, Standard<'_>)| {
            ((*name).to_owned(), feed.dtype(), feed.shape().to_vec())
        };
        Self {
            inputs: call.feeds.iter().map(input).collect(),
            outputs: call.outputs.iter().map(|wanted| wanted.name.clone()).collect(),
        }
    }
}

/// The buffers of one set of shapes.
#[derive(Debug)]
struct Bound {
    key: Key,
    binding: IoBinding,
    /// On the host.
    inputs: Vec<DynTensor>,
    /// On the device, where buffers lie there.
    resident: Option<Resident>,
    /// Whether outputs have buffers. Those of the host get theirs after the first run, which tells their shapes.
    has_outputs: bool,
}

/// Buffers on the device, and those on the host that outputs come back to.
struct Resident {
    inputs: Vec<DynTensor>,
    outputs: Vec<DynTensor>,
    answers: Vec<DynTensor>,
    /// Tells the recorded runs of one set of buffers from those of others.
    run: RunOptions,
}

impl Bound {
    fn new(
        session: &Session,
        (key, call): (Key, &Call<'_>),
        (residence, number): (&Residence, usize),
    ) -> Result<Self, ort::Error> {
        let inputs = call.feeds.iter().map(|(_, feed)| feed.buffer()).collect::<Result<_, _>>()?;
        let binding = session.create_binding()?;
        let mut bound = Self { key, binding, inputs, resident: None, has_outputs: false };
        match residence {
            Residence::Host => {
                let kind = (AllocatorType::Device, MemoryType::CPUOutput);
                let host = MemoryInfo::new(AllocationDevice::CPU, 0, kind.0, kind.1)?;
                for wanted in call.outputs {
                    bound.binding.bind_output_to_device(&wanted.name, &host)?;
                }
            }
            Residence::Device(device, ordinal) => {
                let (kind, place) = (AllocatorType::Device, MemoryType::Default);
                let memory = MemoryInfo::new(device.clone(), *ordinal, kind, place)?;
                let allocator = Allocator::new(session, memory)?;
                let mut resident = Resident::new(&allocator, call, number)?;
                for ((name, _), buffer) in call.feeds.iter().zip(&resident.inputs) {
                    bound.binding.bind_input(*name, buffer)?;
                }
                for (wanted, buffer) in call.outputs.iter().zip(&mut resident.outputs) {
                    bound.binding.bind_output(&wanted.name, buffer)?;
                }
                bound.resident = Some(resident);
                bound.has_outputs = true;
            }
        }
        Ok(bound)
    }

    /// Puts the values of a call into the buffers.
    fn fill(&mut self, call: &Call<'_>) -> Result<(), ort::Error> {
        for ((name, feed), buffer) in call.feeds.iter().zip(&mut self.inputs) {
            feed.copy_into(buffer)?;
            if self.resident.is_none() {
                // The runtime copies to the device when it binds, and not when it runs.
                self.binding.bind_input(*name, buffer)?;
            }
        }
        if let Some(resident) = &mut self.resident {
            for (host, device) in self.inputs.iter().zip(&mut resident.inputs) {
                host.copy_into(device)?;
            }
        }
        self.binding.synchronize_inputs()
    }

    fn run(
        &mut self,
        session: &mut Session,
        call: &Call<'_>,
    ) -> Result<Vec<ArrayD<f32>>, ort::Error> {
        if let Some(resident) = &mut self.resident {
            session.run_binding_with_options(&self.binding, &resident.run)?;
            self.binding.synchronize_outputs()?;
            for (device, host) in resident.outputs.iter().zip(&mut resident.answers) {
                device.copy_into(host)?;
            }
            return resident.answers.iter().map(widened).collect();
        }
        let answers = session.run_binding(&self.binding)?;
        self.binding.synchronize_outputs()?;
        let copies = outputs_of(&answers, call)?;
        drop(answers);
        if !self.has_outputs {
            for (wanted, copy) in call.outputs.iter().zip(&copies) {
                let buffer = DynTensor::new(&Allocator::default(), wanted.dtype, copy.shape())?;
                self.binding.bind_output(&wanted.name, buffer)?;
            }
            self.has_outputs = true;
        }
        Ok(copies)
    }
}

impl std::fmt::Debug for Resident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resident").field("inputs", &self.inputs.len()).finish_non_exhaustive()
    }
}

impl Resident {
    fn new(allocator: &Allocator, call: &Call<'_>, number: usize) -> Result<Self, ort::Error> {
        let input = |(_, feed): &(&str, Standard<'_>)| {
            DynTensor::new(allocator, feed.dtype(), feed.shape())
        };
        let outputs = |allocator: &Allocator| {
            let output = |wanted: &Wanted| {
                let shape = wanted.shape.as_deref().ok_or_else(|| {
                    let name = &wanted.name;
                    ort::Error::new(format!(
                        "the shape of output `{name}` is not known before a run, which buffers on the device ask for"
                    ))
                })?;
                DynTensor::new(allocator, wanted.dtype, shape)
            };
            call.outputs.iter().map(output).collect::<Result<Vec<DynTensor>, ort::Error>>()
        };
        let mut run = RunOptions::new()?;
        run.set("gpu_graph_id", number.to_string())?;
        Ok(Self {
            inputs: call.feeds.iter().map(input).collect::<Result<_, _>>()?,
            outputs: outputs(allocator)?,
            answers: outputs(&Allocator::default())?,
            run,
        })
    }
}

/// Values of a tensor as f32.
fn widened<T: TensorValueTypeMarker + ?Sized>(value: &Value<T>) -> Result<ArrayD<f32>, ort::Error> {
    if value.dtype().tensor_type() == Some(TensorElementType::Float16) {
        return Ok(value.try_extract_array::<f16>()?.mapv(f16::to_f32));
    }
    Ok(value.try_extract_array::<f32>()?.to_owned())
}

/// Copies of the outputs that a call asks for.
pub(super) fn outputs_of(
    answers: &SessionOutputs<'_>,
    call: &Call<'_>,
) -> Result<Vec<ArrayD<f32>>, ort::Error> {
    let copy = |wanted: &Wanted| {
        let missing = || ort::Error::new(format!("the graph has no output `{}`", wanted.name));
        widened(answers.get(&wanted.name).ok_or_else(missing)?)
    };
    call.outputs.iter().map(copy).collect()
}
