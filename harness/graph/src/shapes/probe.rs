//! What the runtime says of the values that inference cannot tell.
//!
//! The part of the graph that leads to them runs at two batch sizes. An axis whose length did not move is fixed, one
//! that moved in proportion is a batch axis; integers that did not move are constants. Only shapes and integers are
//! handed out, so that the runtime frees each value after its last reader.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::inputs::{Length, batch_name, lengths};
use crate::dim::Dim;
use crate::edit::value_info;
use crate::error::GraphError;
use crate::model::{DeclaredDim, Model, Port};
use crate::proto::NodeProto;
use crate::runner::{Feeds, Runner, Source};
use crate::tensor::{ElementType, Tensor, TensorData};
use crate::types::element_types;
use crate::write::Weights;

/// Odd, small, unlike the lengths that networks are built of.
const BATCHES: [usize; 2] = [3, 5];
/// Largest input that is made up for probing; a damaged shape must not fill the memory.
const MAX_INPUT: usize = 1 << 28;

/// What the runtime says of one value.
pub(super) struct Told {
    pub(super) name: String,
    pub(super) dims: Vec<Dim>,
    /// Elements of an integer value that did not move.
    pub(super) constant: Option<Tensor>,
    /// Elements of an integer value that moved while its shape did not.
    pub(super) multiples: Option<Vec<Dim>>,
}

/// Runs what leads to `values` and compares.
pub(super) fn ask(
    model: &Model,
    (x, rows): (&str, usize),
    values: &[String],
    runner: &dyn Runner,
) -> Result<Vec<Told>, GraphError> {
    let mut probe = model.clone();
    let outputs = expose(&mut probe, values, &element_types(model));
    prune(&mut probe);
    let feeds = feeds(&probe, model, (x, rows))?;
    let names: Vec<String> = outputs.iter().map(|o| o.output.clone()).collect();
    let mut runs = run(&probe, runner, &feeds, &names)?.into_iter();
    let (Some(small), Some(large)) = (runs.next(), runs.next()) else {
        return Err(model.interface_error("the runtime answered fewer runs than asked"));
    };
    let pairs = outputs.into_iter().zip(small).zip(large);
    Ok(pairs.map(|((output, a), b)| output.compare(a, &b)).collect())
}

/// One output of the probe: a value, or its shape.
struct Exposed {
    value: String,
    output: String,
    is_shape: bool,
}

impl Exposed {
    fn compare(self, a: Tensor, b: &Tensor) -> Told {
        let lengths = |t: &Tensor| -> Vec<usize> {
            let values = t.to_i64().unwrap_or_default();
            values.into_iter().map(|v| usize::try_from(v).unwrap_or(0)).collect()
        };
        let mut told = Told { name: self.value, dims: Vec::new(), constant: None, multiples: None };
        if self.is_shape {
            told.dims = compare(&lengths(&a), &lengths(b));
            return told;
        }
        told.dims = compare(a.shape(), b.shape());
        if a.data().len() > super::value::MAX_ELEMENTS {
            return told;
        }
        if a == *b {
            told.constant = Some(a);
        } else if a.shape() == b.shape() {
            told.multiples = Some(follow(&a, b));
        }
        told
    }
}

/// How the elements of an integer value follow the batch; negative ones count from an end that moves.
fn follow(a: &Tensor, b: &Tensor) -> Vec<Dim> {
    let pairs = a.to_i64().unwrap_or_default().into_iter().zip(b.to_i64().unwrap_or_default());
    let dim = |(a, b)| match (usize::try_from(a), usize::try_from(b)) {
        (Ok(a), Ok(b)) => compare(&[a], &[b])[0],
        _ => Dim::Other,
    };
    pairs.map(dim).collect()
}

fn compare(a: &[usize], b: &[usize]) -> Vec<Dim> {
    let dim = |(&a, &b): (&usize, &usize)| {
        let per_image = a / BATCHES[0];
        if a == b {
            Dim::Fixed(a)
        } else if per_image * BATCHES[0] == a && per_image * BATCHES[1] == b {
            Dim::Batch(per_image)
        } else {
            Dim::Other
        }
    };
    a.iter().zip(b).map(dim).collect()
}

/// Makes the wanted integers, and the shapes of the other wanted values, the outputs.
fn expose(
    model: &mut Model,
    values: &[String],
    types: &HashMap<String, ElementType>,
) -> Vec<Exposed> {
    let graph = model.graph_mut();
    graph.output.clear();
    let mut exposed = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let element = types.get(value).copied().filter(|e| e.is_integer());
        let output =
            if element.is_some() { value.clone() } else { format!("dubench_shape_{index}") };
        if element.is_none() {
            graph.node.push(NodeProto {
                input: vec![value.clone()],
                output: vec![output.clone()],
                name: output.clone(),
                op_type: "Shape".to_owned(),
                ..NodeProto::default()
            });
        }
        let mut info = value_info(&output, element.unwrap_or(ElementType::I64), &[]);
        // Rank unknown: an empty list of axes would declare a scalar.
        if let Some(tensor) = info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
            tensor.shape = None;
        }
        graph.output.push(info);
        exposed.push(Exposed { value: value.clone(), output, is_shape: element.is_none() });
    }
    exposed
}

/// Leaves what the outputs need: nodes, weights, inputs.
fn prune(model: &mut Model) {
    let graph = model.graph_mut();
    let mut read: HashSet<String> = graph.output.iter().map(|v| v.name.clone()).collect();
    let mut nodes = std::mem::take(&mut graph.node);
    nodes.reverse();
    nodes.retain(|node| {
        let is_read = node.output.iter().any(|output| read.contains(output));
        if is_read {
            read.extend(node.input.iter().cloned());
        }
        is_read
    });
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|weight| read.contains(&weight.name));
    graph.input.retain(|input| read.contains(&input.name));
}

fn run(
    probe: &Model,
    runner: &dyn Runner,
    feeds: &[Feeds],
    outputs: &[String],
) -> Result<Vec<Vec<Tensor>>, GraphError> {
    match probe.to_bytes() {
        Ok(bytes) => runner.run(Source::Bytes(&bytes), feeds, outputs),
        Err(GraphError::TooLarge { .. }) => {
            let file = Scratch::new(probe.label());
            probe.write(&file.path, Weights::Beside)?;
            runner.run(Source::File(&file.path), feeds, outputs)
        }
        Err(error) => Err(error),
    }
}

/// A model file in the temporary folder that goes when this does.
struct Scratch {
    path: std::path::PathBuf,
}

impl Scratch {
    fn new(label: &str) -> Self {
        let key = crate::cache::key_of_text(label);
        let name = format!("dubench-probe-{}-{}.onnx", std::process::id(), &key[..16]);
        Self { path: std::env::temp_dir().join(name) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut data = self.path.clone().into_os_string();
        data.push(".data");
        // A file that cannot be removed lies in the temporary folder: nothing depends on it.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(data);
    }
}

/// Inputs of both runs: every value differs between them, so that only true constants stay.
fn feeds(probe: &Model, whole: &Model, (x, rows): (&str, usize)) -> Result<Vec<Feeds>, GraphError> {
    let read: BTreeSet<String> = probe.inputs().into_iter().map(|port| port.name).collect();
    let inputs = whole.inputs();
    let batch = batch_name(&inputs, x);
    let one = |(run, &n): (usize, &usize)| {
        let wanted = inputs.iter().filter(|port| read.contains(&port.name));
        wanted
            .map(|port| {
                Ok((port.name.clone(), feed(whole, port, batch.as_ref(), (run, n * rows))?))
            })
            .collect()
    };
    BATCHES.iter().enumerate().map(one).collect()
}

fn feed(
    model: &Model,
    port: &Port,
    batch: Option<&DeclaredDim>,
    (run, n): (usize, usize),
) -> Result<Tensor, GraphError> {
    let name = &port.name;
    let length = |length| match length {
        Length::Fixed(n) => n,
        Length::Batch => n,
    };
    let shape: Vec<usize> = lengths(model, port, batch)?.into_iter().map(length).collect();
    let count = shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
    let Some(count) = count.filter(|&n| n <= MAX_INPUT) else {
        return Err(model.interface_error(format!(
            "input {name} of shape {shape:?} has more than {MAX_INPUT} elements: the declared shape is damaged"
        )));
    };
    let data = match port.element {
        ElementType::F32 => TensorData::F32(pattern(count, run)),
        ElementType::F64 => {
            TensorData::F64(pattern(count, run).into_iter().map(f64::from).collect())
        }
        ElementType::I64 => TensorData::I64(vec![i64::from(run > 0); count]),
        ElementType::I32 => TensorData::I32(vec![i32::from(run > 0); count]),
        ElementType::U8 => TensorData::U8(vec![u8::from(run > 0); count]),
        ElementType::Bool => TensorData::Bool(vec![run > 0; count]),
        other => {
            return Err(model.interface_error(format!(
                "input {name} has element type {other:?}, expected float32, float64, int64, int32, uint8 or bool"
            )));
        }
    };
    Tensor::new(shape, data)
        .ok_or_else(|| model.interface_error(format!("input {name} is too large")))
}

/// Positive values that differ within and between runs.
fn pattern(count: usize, run: usize) -> Vec<f32> {
    (0..count).map(|i| 0.25 + ((i * 37 + run * 11) % 101) as f32 / 101.0).collect()
}
