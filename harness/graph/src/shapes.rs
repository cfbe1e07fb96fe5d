//! Shapes of all values, found by running the graph at two batch sizes.
//!
//! Why run it? Exporters lose shapes (every group norm goes through reshapes that shape inference
//! gives up on), and a gradient needs all of them. An axis whose length did not move is fixed, one
//! that moved in proportion is a batch axis; integer values that did not move are constants (slice
//! starts, pads, indices).

use std::collections::HashMap;

use super::dim::Dim;
use super::edit::value_info;
use super::error::GraphError;
use super::model::{DeclaredDim, Model, Port};
use super::proto::NodeProto;
use super::runner::{Feeds, Runner, Source};
use super::tensor::{ElementType, Tensor, TensorData};
use super::types::element_types;
use super::write::Weights;

/// Odd, small, unlike the lengths that networks are built of.
const BATCHES: [usize; 2] = [3, 5];
/// Integer values with more elements are data, not shape arithmetic.
const MAX_CONSTANT: usize = 4096;
/// Largest input that is made up for probing; a damaged shape must not fill the memory.
const MAX_ELEMENTS: usize = 1 << 28;

/// What probing found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    dims: HashMap<String, Vec<Dim>>,
    constants: HashMap<String, Tensor>,
    /// Integer values that follow the batch alone, as lengths do.
    multiples: HashMap<String, Vec<Dim>>,
}

impl Shapes {
    /// Runs `model` at two batch sizes. The batch is axis 0 of `x`.
    ///
    /// # Errors
    /// [`GraphError::Interface`] where an input's shape leaves more than the batch open,
    /// [`GraphError::Runtime`] where the runtime does not take the model.
    pub(crate) fn probe(model: &Model, x: &str, runner: &dyn Runner) -> Result<Self, GraphError> {
        Self::probe_images(model, (x, 1), runner)
    }

    /// As [`Self::probe`], of a graph that takes `rows` rows of `x` for each image.
    pub(crate) fn probe_images(
        model: &Model,
        (x, rows): (&str, usize),
        runner: &dyn Runner,
    ) -> Result<Self, GraphError> {
        let feeds = feeds(model, (x, rows))?;
        let types = element_types(model);
        let mut probe = model.clone();
        let outputs = expose(&mut probe, &types);
        let names: Vec<String> = outputs.iter().map(|o| o.output.clone()).collect();
        let mut runs = run(&probe, runner, &feeds, &names)?.into_iter();
        let (Some(small), Some(large)) = (runs.next(), runs.next()) else {
            return Err(model.interface_error("the runtime answered fewer runs than asked"));
        };
        let mut shapes = Self::default();
        for ((output, a), b) in outputs.into_iter().zip(small).zip(large) {
            shapes.record(output, a, &b);
        }
        for ((name, a), (_, b)) in feeds[0].iter().zip(&feeds[1]) {
            shapes.dims.insert(name.clone(), compare(a.shape(), b.shape()));
        }
        for proto in &model.graph().initializer {
            let dims = proto.dims.iter().map(|&d| usize::try_from(d).unwrap_or(0));
            shapes.dims.insert(proto.name.clone(), dims.map(Dim::Fixed).collect());
            let element = ElementType::from_onnx(proto.data_type.unwrap_or(0));
            if element.is_integer() {
                shapes.constants.insert(proto.name.clone(), model.tensor(proto)?);
            }
        }
        Ok(shapes)
    }

    fn record(&mut self, probe: Exposed, a: Tensor, b: &Tensor) {
        let lengths = |t: &Tensor| -> Vec<usize> {
            let values = t.to_i64().unwrap_or_default();
            values.into_iter().map(|v| usize::try_from(v).unwrap_or(0)).collect()
        };
        if probe.is_shape {
            self.dims.insert(probe.value, compare(&lengths(&a), &lengths(b)));
            return;
        }
        self.dims.insert(probe.value.clone(), compare(a.shape(), b.shape()));
        if a.data().len() > MAX_CONSTANT {
            return;
        }
        if a == *b {
            self.constants.insert(probe.value, a);
        } else if a.shape() == b.shape() {
            self.multiples.insert(probe.value, follow(&a, b));
        }
    }

    /// Gives a new value the axes of another.
    pub(crate) fn copy(&mut self, from: &str, to: &str) {
        if let Some(dims) = self.dims.get(from).cloned() {
            self.dims.insert(to.to_owned(), dims);
        }
    }

    /// Axes of a value.
    pub(crate) fn of(&self, name: &str) -> Option<&[Dim]> {
        self.dims.get(name).map(Vec::as_slice)
    }

    /// Bytes that one more image adds to a value; 0 for unknown values.
    pub(crate) fn bytes_per_image(&self, name: &str, element: ElementType) -> usize {
        let per_image = |d: &Dim| match *d {
            Dim::Fixed(n) | Dim::Batch(n) => n,
            Dim::Other => 1,
        };
        match self.of(name) {
            Some(dims) if dims.iter().any(|d| matches!(d, Dim::Batch(_))) => {
                let elements = dims.iter().map(per_image).fold(1, usize::saturating_mul);
                elements.saturating_mul(element.size().unwrap_or(0))
            }
            _ => 0,
        }
    }

    /// Elements of an integer value that no input changes.
    pub(crate) fn constant(&self, name: &str) -> Option<Vec<i64>> {
        self.constants.get(name)?.to_i64()
    }

    /// Elements of an integer value that moves with the batch size and nothing else.
    ///
    /// Negative elements count as [`Dim::Other`].
    pub(crate) fn multiples(&self, name: &str) -> Option<&[Dim]> {
        self.multiples.get(name).map(Vec::as_slice)
    }

    /// Shape of a constant.
    pub(crate) fn constant_rank(&self, name: &str) -> Option<usize> {
        self.constants.get(name).map(|t| t.shape().len())
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

/// One output of the probe: a value, or its shape.
struct Exposed {
    value: String,
    output: String,
    is_shape: bool,
}

/// Makes integers and the shapes of all else the outputs: activations would fill the memory.
fn expose(model: &mut Model, types: &HashMap<String, ElementType>) -> Vec<Exposed> {
    let values: Vec<String> = model
        .graph()
        .node
        .iter()
        .flat_map(|n| &n.output)
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    let graph = model.graph_mut();
    graph.output.clear();
    let mut exposed = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let element = types.get(&value).copied().filter(|e| e.is_integer());
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
        exposed.push(Exposed { value, output, is_shape: element.is_none() });
    }
    exposed
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
        let key = super::cache::key_of_text(label);
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
fn feeds(model: &Model, (x, rows): (&str, usize)) -> Result<Vec<Feeds>, GraphError> {
    let inputs = model.inputs();
    let batch = inputs
        .iter()
        .find(|port| port.name == x)
        .and_then(|port| port.dims.as_ref())
        .and_then(|dims| dims.first())
        .cloned();
    BATCHES
        .iter()
        .enumerate()
        .map(|(run, &n)| {
            let feed = |port: &Port| {
                Ok((port.name.clone(), feed(model, port, batch.as_ref(), run, n * rows)?))
            };
            inputs.iter().map(feed).collect()
        })
        .collect()
}

fn feed(
    model: &Model,
    port: &Port,
    batch: Option<&DeclaredDim>,
    run: usize,
    n: usize,
) -> Result<Tensor, GraphError> {
    let name = &port.name;
    let Some(dims) = &port.dims else {
        return Err(
            model.interface_error(format!("input {name} declares no shape: export with shapes"))
        );
    };
    let mut shape = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        shape.push(match dim {
            DeclaredDim::Fixed(length) => *length,
            DeclaredDim::Named(_) if axis == 0 || Some(dim) == batch => n,
            DeclaredDim::Named(text) => {
                return Err(model.interface_error(format!(
                    "axis {axis} of input {name} is open ({text:?}), only the batch may be: export at one image size"
                )));
            }
        });
    }
    let count = shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
    let Some(count) = count.filter(|&n| n <= MAX_ELEMENTS) else {
        return Err(model.interface_error(format!(
            "input {name} of shape {shape:?} has more than {MAX_ELEMENTS} elements: the declared shape is damaged"
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
