//! A whole ONNX model in memory: reading, looking, serialising.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

use super::error::GraphError;
use super::external;
use super::proto::{
    GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto,
};
use super::tensor::{ElementType, Tensor, shape_of};
use super::widen;

/// Length of an axis as the model declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredDim {
    /// A number.
    Fixed(usize),
    /// A name such as `batch`, or nothing at all (then empty).
    Named(String),
}

/// Name, element type and shape of a graph input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name of the value.
    pub name: String,
    /// Element type.
    pub element: ElementType,
    /// Declared axes; `None` where the model declares no shape.
    pub dims: Option<Vec<DeclaredDim>>,
}

/// An ONNX model. Weights in external files stay there until they are asked for.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) proto: ModelProto,
    /// Folder of the external data, where the model came from a file.
    folder: Option<PathBuf>,
    label: String,
}

impl Model {
    /// Reads a model file. External data is checked (inside the folder of the model, a regular file
    /// of one link, bytes in range) and read later, when a pass or [`Model::to_bytes`] needs it.
    ///
    /// # Errors
    /// [`GraphError::File`], [`GraphError::Decode`], [`GraphError::ExternalData`], and
    /// [`GraphError::Unsupported`] for functions, sparse initializers and training graphs.
    pub fn read(path: &Path) -> Result<Self, GraphError> {
        let label = path.display().to_string();
        if path.is_dir() {
            let message = "is a folder: name the graph in it, as denoiser.onnx".to_owned();
            return Err(GraphError::File { path: label, message });
        }
        let bytes = std::fs::read(path).map_err(|error| GraphError::File {
            path: label.clone(),
            message: format!("cannot read the model: {error}"),
        })?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let model = Self::decode(bytes.into(), label, Some(folder))?;
        for tensor in model.graph().initializer.iter().filter(|t| external::is_external(t)) {
            model.locate(tensor)?;
        }
        Ok(model)
    }

    /// Decodes a model from memory. External data is refused: bytes have no folder.
    ///
    /// # Errors
    /// As [`Model::read`].
    ///
    /// # Examples
    /// ```
    /// use dubench_graph::Model;
    /// let error = Model::from_bytes(b"\xffnot a model", "upload").unwrap_err();
    /// assert!(error.to_string().starts_with("upload: not a readable ONNX model"));
    /// ```
    pub fn from_bytes(bytes: &[u8], label: &str) -> Result<Self, GraphError> {
        let bytes = Bytes::copy_from_slice(bytes);
        let model = Self::decode(bytes, label.to_owned(), None)?;
        match model.graph().initializer.iter().find(|t| external::is_external(t)) {
            None => Ok(model),
            Some(tensor) => Err(GraphError::ExternalData {
                model: label.to_owned(),
                tensor: tensor.name.clone(),
                message:
                    "the model came as bytes, its weights lie in another file: open it by its path"
                        .to_owned(),
            }),
        }
    }

    /// Weights are not copied: they are parts of `bytes`.
    fn decode(bytes: Bytes, label: String, folder: Option<PathBuf>) -> Result<Self, GraphError> {
        let bad = |message: String| GraphError::Decode { model: label.clone(), message };
        let proto = ModelProto::decode(bytes).map_err(|error| bad(error.to_string()))?;
        let Some(graph) = proto.graph.as_ref().filter(|graph| !graph.node.is_empty()) else {
            return Err(bad("it holds no node".to_owned()));
        };
        let refuse = |what: String, remedy: &str| {
            Err(GraphError::Unsupported { model: label.clone(), what, remedy: remedy.to_owned() })
        };
        if let Some(function) = proto.functions.first() {
            return refuse(
                format!("it holds the local function {}", function.name),
                "export with functions inlined (onnx.inliner.inline_local_functions)",
            );
        }
        if !graph.sparse_initializer.is_empty() {
            return refuse("it holds sparse weights".to_owned(), "export dense weights");
        }
        if !proto.training_info.is_empty() {
            return refuse("it holds a training graph".to_owned(), "export for inference");
        }
        if !proto.configuration.is_empty() {
            return refuse("it is cut for several devices".to_owned(), "export an undivided model");
        }
        Ok(Self { proto, folder, label })
    }

    /// Path or description, for messages.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Version of the default operator set; 0 where none is declared.
    pub fn opset(&self) -> i64 {
        self.proto
            .opset_import
            .iter()
            .find(|o| o.domain.is_empty() || o.domain == "ai.onnx")
            .and_then(|o| o.version)
            .unwrap_or(0)
    }

    /// Inputs that a caller has to feed (weights with a default value are not among them).
    pub fn inputs(&self) -> Vec<Port> {
        let graph = self.graph();
        let weights: BTreeSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        graph.input.iter().filter(|v| !weights.contains(v.name.as_str())).map(port).collect()
    }

    /// Outputs.
    pub fn outputs(&self) -> Vec<Port> {
        self.graph().output.iter().map(port).collect()
    }

    /// Number of nodes.
    pub fn n_nodes(&self) -> usize {
        self.graph().node.len()
    }

    /// Files that hold weights or constants of this model, as it names them: relative to its folder.
    pub fn external_files(&self) -> BTreeSet<String> {
        let attributes = self.graph().node.iter().flat_map(|node| &node.attribute);
        let constants = attributes.filter_map(|attribute| attribute.t.as_ref());
        let tensors = self.graph().initializer.iter().chain(constants);
        let entries = tensors.flat_map(|tensor| &tensor.external_data);
        entries.filter(|entry| entry.key == "location").map(|entry| entry.value.clone()).collect()
    }

    /// Element type in which most weights are computed with, counted by elements; [`ElementType::F32`] where there is no
    /// float weight. A weight that is cast to float32 before anything reads it counts as that.
    pub fn weight_type(&self) -> ElementType {
        let stored = widen::only_stored(self.graph());
        self.most(|weight| {
            if stored.contains(weight.name.as_str()) {
                ElementType::F32.to_onnx()
            } else {
                weight.data_type.unwrap_or(0)
            }
        })
    }

    /// Element type in which most weights lie in the file, counted by elements; [`ElementType::F32`] where there is no float
    /// weight.
    pub fn storage_type(&self) -> ElementType {
        self.most(|weight| weight.data_type.unwrap_or(0))
    }

    fn most(&self, element: impl Fn(&TensorProto) -> i32) -> ElementType {
        let kinds = [ElementType::F32, ElementType::F16, ElementType::Bf16, ElementType::F64];
        let count = |kind: ElementType| {
            let weights = self.graph().initializer.iter();
            let of_kind = weights.filter(|t| element(t) == kind.to_onnx());
            of_kind
                .map(|t| t.dims.iter().fold(1u64, |n, &d| n.saturating_mul(d.unsigned_abs())))
                .sum::<u64>()
        };
        // The first of those that are equally many, so float32 where there is none.
        let most = kinds
            .into_iter()
            .map(|kind| (count(kind), kind))
            .reduce(|a, b| if b.0 > a.0 { b } else { a });
        most.map_or(ElementType::F32, |(_, kind)| kind)
    }

    /// Value of a key of the model's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proto.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.as_str())
    }

    /// Sets a key of the model's metadata.
    pub fn set_metadata(&mut self, key: &str, value: String) {
        match self.proto.metadata_props.iter_mut().find(|p| p.key == key) {
            Some(entry) => entry.value = value,
            None => self
                .proto
                .metadata_props
                .push(StringStringEntryProto { key: key.to_owned(), value }),
        }
    }

    /// The graph. A model without one does not pass [`Model::from_bytes`].
    pub(crate) fn graph(&self) -> &GraphProto {
        static EMPTY: std::sync::LazyLock<GraphProto> =
            std::sync::LazyLock::new(GraphProto::default);
        self.proto.graph.as_ref().unwrap_or(&EMPTY)
    }

    pub(crate) fn graph_mut(&mut self) -> &mut GraphProto {
        self.proto.graph.get_or_insert_default()
    }

    /// Elements of an initializer, wherever they lie; `None` where there is no such initializer.
    pub(crate) fn initializer(&self, name: &str) -> Result<Option<Tensor>, GraphError> {
        self.graph().initializer.iter().find(|t| t.name == name).map(|t| self.tensor(t)).transpose()
    }

    /// Elements of a float initializer, half precision included.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>, GraphError> {
        let Some(proto) = self.graph().initializer.iter().find(|t| t.name == name) else {
            return Ok(None);
        };
        if ElementType::from_onnx(proto.data_type.unwrap_or(0)) != ElementType::F16 {
            return Ok(self.tensor(proto)?.to_f64());
        }
        let values = widen::values(proto, &self.raw(proto)?);
        Ok(Some(values.into_iter().map(f64::from).collect()))
    }

    /// Elements of one of this model's tensors.
    pub(crate) fn tensor(&self, proto: &TensorProto) -> Result<Tensor, GraphError> {
        let bad = |message: String| GraphError::ExternalData {
            model: self.label.clone(),
            tensor: proto.name.clone(),
            message,
        };
        if !external::is_external(proto) {
            return Tensor::from_inline_proto(proto).map_err(|message| GraphError::Decode {
                model: self.label.clone(),
                message: format!("tensor {} {message}", proto.name),
            });
        }
        let shape = shape_of(proto).map_err(bad)?;
        let element = ElementType::from_onnx(proto.data_type.unwrap_or(0));
        Tensor::from_le_bytes(element, &shape, &self.raw(proto)?).map_err(bad)
    }

    /// Little-endian bytes of a tensor that has them (not typed fields).
    pub(crate) fn raw<'a>(&self, proto: &'a TensorProto) -> Result<Cow<'a, [u8]>, GraphError> {
        if external::is_external(proto) {
            return self.locate(proto)?.read().map(Cow::Owned).map_err(|message| {
                GraphError::ExternalData {
                    model: self.label.clone(),
                    tensor: proto.name.clone(),
                    message,
                }
            });
        }
        Ok(Cow::Borrowed(proto.raw_data.as_deref().unwrap_or_default()))
    }

    fn locate(&self, proto: &TensorProto) -> Result<external::Region, GraphError> {
        let folder = self.folder.as_deref().unwrap_or_else(|| Path::new("."));
        external::locate(folder, proto).map_err(|message| GraphError::ExternalData {
            model: self.label.clone(),
            tensor: proto.name.clone(),
            message,
        })
    }

    /// An error about one node of this model.
    pub(crate) fn node_error(&self, node: &NodeProto, what: impl Into<String>) -> GraphError {
        GraphError::Node {
            model: self.label.clone(),
            node: node_label(node),
            op: node.op_type.clone(),
            what: what.into(),
        }
    }

    /// An error about inputs or outputs of this model.
    pub(crate) fn interface_error(&self, message: impl Into<String>) -> GraphError {
        GraphError::Interface { model: self.label.clone(), message: message.into() }
    }
}

/// What people can find a node by: its name, else the value it makes.
pub(crate) fn node_label(node: &NodeProto) -> String {
    if node.name.is_empty() {
        format!("making {}", node.output.first().map_or("nothing", String::as_str))
    } else {
        node.name.clone()
    }
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dims = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
        let declared = |d: &super::proto::DimensionProto| match d.dim_value {
            Some(n) => DeclaredDim::Fixed(usize::try_from(n).unwrap_or(0)),
            None => DeclaredDim::Named(d.dim_param.clone().unwrap_or_default()),
        };
        shape.dim.iter().map(declared).collect()
    });
    Port {
        name: info.name.clone(),
        element: ElementType::from_onnx(tensor.and_then(|t| t.elem_type).unwrap_or(0)),
        dims,
    }
}
