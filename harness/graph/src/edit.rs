//! Building blocks of every pass: fresh names, constants, nodes, attributes.

use std::collections::{BTreeMap, BTreeSet};

use super::dim::Dim;
use super::error::GraphError;
use super::model::Model;
use super::proto::{
    AttributeProto, DimensionProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute_type,
};
use super::tensor::{ElementType, Tensor};

/// A model under construction. New nodes are collected and appended by [`Editor::finish`].
#[derive(Debug)]
pub(crate) struct Editor {
    model: Model,
    prefix: &'static str,
    taken: BTreeSet<String>,
    n_names: usize,
    nodes: Vec<NodeProto>,
    vectors: BTreeMap<Vec<i64>, String>,
    scalars: BTreeMap<u32, String>,
}

impl Editor {
    /// Starts from `model`; the names of new values begin with `prefix`.
    pub(crate) fn new(model: Model, prefix: &'static str) -> Self {
        let graph = model.graph();
        let taken = graph
            .node
            .iter()
            .flat_map(|n| n.input.iter().chain(&n.output).chain(std::iter::once(&n.name)))
            .chain(graph.input.iter().chain(&graph.output).map(|v| &v.name))
            .chain(graph.initializer.iter().map(|t| &t.name))
            .cloned()
            .collect();
        let (vectors, scalars) = (BTreeMap::new(), BTreeMap::new());
        Self { model, prefix, taken, n_names: 0, nodes: Vec::new(), vectors, scalars }
    }

    /// The model so far, without the collected nodes.
    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// A name that nothing in the graph has.
    pub(crate) fn fresh(&mut self) -> String {
        loop {
            let name = format!("{}_{}", self.prefix, self.n_names);
            self.n_names += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Reserves the public name of a new input or output.
    ///
    /// # Errors
    /// [`GraphError::Interface`] where the graph already uses the name.
    pub(crate) fn claim(&mut self, name: &str) -> Result<(), GraphError> {
        if self.taken.insert(name.to_owned()) {
            return Ok(());
        }
        Err(self.model.interface_error(format!(
            "the graph already has a value called {name}, which this pass adds: rename it before, or use the original graph"
        )))
    }

    /// A new initializer.
    pub(crate) fn constant(&mut self, tensor: &Tensor) -> String {
        let name = self.fresh();
        self.model.graph_mut().initializer.push(tensor.to_proto(&name));
        name
    }

    /// A weight of any element type, under its own name.
    pub(crate) fn add_initializer(&mut self, weight: TensorProto) {
        self.model.graph_mut().initializer.push(weight);
    }

    /// A vector of i64; equal vectors share one initializer.
    pub(crate) fn vector(&mut self, values: &[i64]) -> String {
        if let Some(name) = self.vectors.get(values) {
            return name.clone();
        }
        let name = self.constant(&Tensor::vector_i64(values.to_vec()));
        self.vectors.insert(values.to_vec(), name.clone());
        name
    }

    /// One f32 without axes; equal scalars share one initializer.
    pub(crate) fn scalar(&mut self, value: f32) -> String {
        if let Some(name) = self.scalars.get(&value.to_bits()) {
            return name.clone();
        }
        let name = self.constant(&Tensor::scalar_f32(value));
        self.scalars.insert(value.to_bits(), name.clone());
        name
    }

    /// A new node of one output; its name.
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.fresh();
        self.node_to(op, inputs, attributes, &output);
        output
    }

    /// A new node that makes `output`.
    pub(crate) fn node_to(
        &mut self,
        op: &str,
        inputs: &[&str],
        attribute: Vec<AttributeProto>,
        output: &str,
    ) {
        let input = inputs.iter().map(|&i| i.to_owned()).collect();
        let name = self.fresh();
        self.nodes.push(NodeProto {
            input,
            output: vec![output.to_owned()],
            name,
            op_type: op.to_owned(),
            attribute,
            ..NodeProto::default()
        });
    }

    /// One i64 without axes.
    pub(crate) fn index(&mut self, value: i64) -> String {
        self.constant(&Tensor::scalar_i64(value))
    }

    /// Collects a node that is written already.
    pub(crate) fn push(&mut self, node: NodeProto) {
        self.nodes.push(node);
    }

    /// Takes the collected nodes, for passes that put them elsewhere than at the end.
    pub(crate) fn take_nodes(&mut self) -> Vec<NodeProto> {
        std::mem::take(&mut self.nodes)
    }

    /// Adds a graph input.
    pub(crate) fn add_input(&mut self, name: &str, element: ElementType, dims: &[Dim]) {
        let info = value_info(name, element, dims);
        self.model.graph_mut().input.push(info);
    }

    /// Adds an f32 input of unknown shape.
    pub(crate) fn declare_input(&mut self, name: &str) {
        let mut info = value_info(name, ElementType::F32, &[]);
        if let Some(tensor) = info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
            tensor.shape = None;
        }
        self.model.graph_mut().input.push(info);
    }

    /// Leaves the inputs that are in `read` and the output `output`.
    pub(crate) fn cut_ports(&mut self, read: &std::collections::HashSet<String>, output: &str) {
        let graph = self.model.graph_mut();
        graph.input.retain(|port| read.contains(&port.name));
        graph.output.retain(|port| port.name == output);
        // Shapes that were declared for what is no longer there.
        graph.value_info.clear();
    }

    /// Adds a graph output.
    pub(crate) fn add_output(&mut self, name: &str, element: ElementType, dims: &[Dim]) {
        let info = value_info(name, element, dims);
        self.model.graph_mut().output.push(info);
    }

    /// Adds an f32 output of unknown shape.
    pub(crate) fn declare_output(&mut self, name: &str) {
        let mut info = value_info(name, ElementType::F32, &[]);
        if let Some(tensor) = info.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()) {
            tensor.shape = None;
        }
        self.model.graph_mut().output.push(info);
    }

    /// Appends the collected nodes and hands the model back, without new nodes and weights that nothing reads: a
    /// runtime warns of each such weight.
    pub(crate) fn finish(mut self) -> Model {
        let mut nodes = self.take_nodes();
        let graph = self.model.graph_mut();
        let old = graph.node.iter().flat_map(|node| &node.input);
        let mut read: BTreeSet<String> =
            old.chain(graph.output.iter().map(|v| &v.name)).cloned().collect();
        nodes.reverse();
        nodes.retain(|node| {
            let is_read = node.output.iter().any(|output| read.contains(output));
            if is_read {
                read.extend(node.input.iter().cloned());
            }
            is_read
        });
        graph.node.extend(nodes.into_iter().rev());
        let read = graph.node.iter().flat_map(|node| &node.input);
        let read: BTreeSet<&String> = read.chain(graph.output.iter().map(|v| &v.name)).collect();
        graph.initializer.retain(|weight| read.contains(&weight.name));
        self.model
    }

    /// Replaces all nodes of the graph.
    pub(crate) fn set_nodes(&mut self, nodes: Vec<NodeProto>) {
        self.model.graph_mut().node = nodes;
    }
}

/// Declares a value; the batch axis is called `batch`.
pub(crate) fn value_info(name: &str, element: ElementType, dims: &[Dim]) -> ValueInfoProto {
    let dim = |d: &Dim| match *d {
        Dim::Fixed(n) => DimensionProto { dim_value: i64::try_from(n).ok(), ..Default::default() },
        Dim::Batch(1) => {
            DimensionProto { dim_param: Some("batch".to_owned()), ..Default::default() }
        }
        Dim::Batch(_) | Dim::Other => DimensionProto::default(),
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = TensorTypeProto { elem_type: Some(element.to_onnx()), shape: Some(shape) };
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto { tensor_type: Some(tensor), ..Default::default() }),
        ..Default::default()
    }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = Some(attribute_type::INT);
    AttributeProto { name: name.to_owned(), i: Some(value), r#type, ..Default::default() }
}

/// A list of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = Some(attribute_type::INTS);
    AttributeProto { name: name.to_owned(), ints: values.to_vec(), r#type, ..Default::default() }
}

/// A float attribute.
pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    let r#type = Some(attribute_type::FLOAT);
    AttributeProto { name: name.to_owned(), f: Some(value), r#type, ..Default::default() }
}

/// A text attribute.
pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    let (r#type, s) = (Some(attribute_type::STRING), Some(value.as_bytes().to_vec()));
    AttributeProto { name: name.to_owned(), s, r#type, ..Default::default() }
}

impl NodeProto {
    /// Attribute called `name`.
    pub(crate) fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|a| a.name == name)
    }

    /// Integer attribute, or its default.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> i64 {
        self.find(name).map_or(default, |a| a.i.unwrap_or(0))
    }

    /// Float attribute, or its default.
    pub(crate) fn float_or(&self, name: &str, default: f32) -> f32 {
        self.find(name).map_or(default, |a| a.f.unwrap_or(0.0))
    }

    /// Text attribute, or its default.
    pub(crate) fn text_or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let bytes = self.find(name).and_then(|a| a.s.as_deref());
        bytes.and_then(|s| std::str::from_utf8(s).ok()).unwrap_or(default)
    }

    /// List of integers, where the node has one.
    pub(crate) fn ints_of(&self, name: &str) -> Option<&[i64]> {
        self.find(name).map(|a| a.ints.as_slice())
    }

    /// Input `index`; `None` where it is missing or left out.
    pub(crate) fn input_at(&self, index: usize) -> Option<&str> {
        self.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Whether the operator is one of the standard set.
    pub(crate) fn is_standard(&self) -> bool {
        self.domain.is_empty() || self.domain == "ai.onnx"
    }
}

#[cfg(test)]
mod tests {
    use super::Editor;
    use crate::testing::GraphUnderTest;

    #[test]
    fn weights_that_nothing_reads_do_not_come_along() {
        let model = GraphUnderTest::new(&[2])
            .floats("read", &[2], &[1.0, 2.0])
            .floats("unread", &[2], &[1.0, 2.0])
            .node("Mul", &["x", "read"], &["y"], vec![])
            .model();
        let mut editor = Editor::new(model, "test");
        let _unread = editor.vector(&[1, 2, 3]);
        let read = editor.scalar(2.0);
        editor.node_to("Mul", &["y", &read], vec![], "twice");
        editor.add_output("twice", crate::ElementType::F32, &[]);
        editor.node_to("Mul", &["twice", &read], vec![], "read_by_none");
        let model = editor.finish();
        assert_eq!(model.n_nodes(), 2);
        let left: Vec<&str> = model.graph().initializer.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(left, ["read", read.as_str()]);
    }
}
