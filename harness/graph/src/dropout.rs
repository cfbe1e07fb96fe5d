//! `Dropout` nodes become multiplications by masks that the caller feeds.
//!
//! Why not run `Dropout` itself? ONNX Runtime removes it in every optimised session without a word,
//! also in training mode, so the uncertainty would be zero; and where it survives, its random state
//! belongs to the process, so a row would depend on the batch around it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::checks::{self, Interface};
use super::dim::Dim;
use super::edit::{Editor, int};
use super::error::GraphError;
use super::fold::fold;
use super::model::{DeclaredDim, Model, Port, node_label};
use super::proto::NodeProto;
use super::runner::Runner;
use super::shapes::Shapes;
use super::tensor::ElementType;
use super::types::element_types;

/// Name of the added input: u8 `[batch, total]`, 1 = keep.
pub const MASKS: &str = "masks";
/// Name of the added scalar input of [`KeepScale::Input`].
pub const KEEP_SCALE: &str = "keep_scale";
/// Metadata key of the [`MaskLayout`], as JSON.
pub const LAYOUT_KEY: &str = "dubench.masks";

/// Where `1 / (1 - p)` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeepScale {
    /// Each site keeps the `p` of its `Dropout` node.
    #[default]
    OfNode,
    /// A scalar f32 input `keep_scale`, one for all sites, so that `p` is chosen at run time.
    Input,
}

/// Where each site's mask lies in a row of `masks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskLayout {
    /// Elements of one row.
    pub total: usize,
    /// Sites in the order of the graph, those of `p` = 0 left out.
    pub sites: Vec<MaskSite>,
}

/// One `Dropout` node of the original graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskSite {
    /// Name of the node.
    pub node: String,
    /// First element in the row.
    pub offset: usize,
    /// Number of elements.
    pub len: usize,
    /// Shape of one image's mask.
    pub shape: Vec<usize>,
    /// Dropout probability of the node.
    pub p: f32,
}

/// One `Dropout` node of a graph, before any pass.
#[derive(Clone, Debug, PartialEq)]
pub struct DropoutSite {
    /// Name of the node.
    pub node: String,
    /// Dropout probability; a site of 0 drops nothing, and no mask is made for it.
    pub p: f32,
}

/// The `Dropout` nodes of a graph in its order, none where it was exported for inference.
///
/// # Errors
/// [`GraphError::Node`] where a probability is no constant in [0, 1).
pub fn sites(model: &Model) -> Result<Vec<DropoutSite>, GraphError> {
    let model = fold(model.clone())?;
    let nodes = model.graph().node.iter().filter(|node| is_dropout(node));
    nodes
        .map(|node| Ok(DropoutSite { node: node_label(node), p: probability(&model, node)? }))
        .collect()
}

impl MaskLayout {
    /// The layout that a rewritten model carries; `None` for other models.
    pub fn of(model: &Model) -> Option<Self> {
        serde_json::from_str(model.metadata(LAYOUT_KEY)?).ok()
    }
}

/// Rewrites each `Dropout` to `x * (mask * keep_scale)`: inverted dropout under a fed mask.
///
/// The result has the inputs of `model` plus `masks` (u8, `[batch, total]`, 1 = keep), and
/// `keep_scale` (f32 scalar) under [`KeepScale::Input`]; with masks of ones and a keep scale of 1 it
/// equals the plain graph. A `Dropout` that the exporter left inactive becomes a site like any other,
/// since the masks alone decide; one of `p` = 0 never dropped anything and stays out. The batch stays dynamic and each row sees its own masks alone.
///
/// # Errors
/// [`GraphError::Interface`] where the graph has no `Dropout`, none of `p` > 0, or an input is called `masks` already,
/// [`GraphError::Node`] where a site's first axis is not the batch, its `p` is no constant in [0, 1)
/// or its own mask is used; and as [`Model::read`]'s checks and the runtime.
pub fn to_mask_input(
    model: &Model,
    keep_scale: KeepScale,
    runner: &dyn Runner,
) -> Result<(Model, MaskLayout), GraphError> {
    if !model.graph().node.iter().any(is_dropout) {
        return Err(model.interface_error(
            "the graph has no Dropout node: export the model in train mode (torch.onnx.export with training=TrainingMode.TRAINING) so that its dropout stays in the graph",
        ));
    }
    checks::supported(model)?;
    let (x, output) = probed_by(model);
    let names = checks::Names { x: x.as_deref(), output: output.as_deref() };
    let Interface { x, .. } = checks::interface(model, names)?;
    let model = without_idle_sites(fold(model.clone())?)?;
    let shapes = Shapes::of_batch(&model, &x, runner)?;
    let layout = layout(&model, &shapes)?;
    let mut editor = Editor::new(model, "masked");
    editor.claim(MASKS)?;
    editor.add_input(MASKS, ElementType::U8, &[Dim::Batch(1), Dim::Fixed(layout.total)]);
    if keep_scale == KeepScale::Input {
        editor.claim(KEEP_SCALE)?;
        editor.add_input(KEEP_SCALE, ElementType::F32, &[]);
    }
    rewrite(&mut editor, &layout, keep_scale);
    let mut masked = editor.finish();
    let json = serde_json::to_string(&layout).map_err(|e| masked.interface_error(e.to_string()))?;
    masked.set_metadata(LAYOUT_KEY, json);
    Ok((masked, layout))
}

/// What the batch is read off: the first image-like input with an open batch, and any output.
fn probed_by(model: &Model) -> (Option<String>, Option<String>) {
    let open = |p: &Port| {
        let dims = p.dims.as_deref().unwrap_or_default();
        dims.len() >= 3 && p.element.is_float() && matches!(dims[0], DeclaredDim::Named(_))
    };
    let x = model.inputs().into_iter().find(open).map(|p| p.name);
    let output = model.outputs().into_iter().find(|p| p.element.is_float()).map(|p| p.name);
    (x, output)
}

fn is_dropout(node: &NodeProto) -> bool {
    node.op_type == "Dropout" && node.is_standard()
}

/// Sites of `p` = 0 pass their value on; the graph must have others.
fn without_idle_sites(mut model: Model) -> Result<Model, GraphError> {
    refuse_used_masks(&model)?;
    let mut nodes = model.graph().node.clone();
    let (mut n_idle, mut n_sites) = (0, 0);
    for node in nodes.iter_mut().filter(|node| is_dropout(node)) {
        n_sites += 1;
        if probability(&model, node)? > 0.0 {
            continue;
        }
        n_idle += 1;
        "Identity".clone_into(&mut node.op_type);
        node.attribute.clear();
        node.input.truncate(1);
        node.output.truncate(1);
    }
    if n_idle == n_sites {
        return Err(model.interface_error(format!(
            "all {n_sites} Dropout nodes have a ratio of 0, so there is nothing to drop: export a model that was built with dropout > 0"
        )));
    }
    model.graph_mut().node = nodes;
    Ok(model)
}

fn refuse_used_masks(model: &Model) -> Result<(), GraphError> {
    let graph = model.graph();
    let read = graph.node.iter().flat_map(|node| &node.input);
    let read: BTreeSet<&String> = read.chain(graph.output.iter().map(|v| &v.name)).collect();
    let used = |node: &&NodeProto| {
        is_dropout(node) && node.output.get(1).is_some_and(|mask| read.contains(mask))
    };
    match graph.node.iter().find(used) {
        None => Ok(()),
        Some(node) => Err(model
            .node_error(node, "its own mask is used elsewhere in the graph: export without it")),
    }
}

fn layout(model: &Model, shapes: &Shapes) -> Result<MaskLayout, GraphError> {
    let mut layout = MaskLayout { total: 0, sites: Vec::new() };
    for node in model.graph().node.iter().filter(|n| is_dropout(n)) {
        let shape = site_shape(model, shapes, node)?;
        let len = shape.iter().product();
        let (offset, p) = (layout.total, probability(model, node)?);
        layout.sites.push(MaskSite { node: node_label(node), offset, len, shape, p });
        layout.total += len;
    }
    Ok(layout)
}

fn site_shape(model: &Model, shapes: &Shapes, node: &NodeProto) -> Result<Vec<usize>, GraphError> {
    let dims = node.input_at(0).and_then(|x| shapes.of(x)).unwrap_or_default();
    let rest = dims.get(1..).unwrap_or_default().iter().map(|d| match d {
        Dim::Fixed(n) => Some(*n),
        Dim::Batch(_) | Dim::Other => None,
    });
    match (dims.first(), rest.collect::<Option<Vec<usize>>>()) {
        (Some(Dim::Batch(1)), Some(shape)) => Ok(shape),
        _ => Err(model.node_error(
            node,
            format!("its input has axes {dims:?}, expected the batch first and fixed lengths after it: a mask a row cannot be cut for it"),
        )),
    }
}

fn probability(model: &Model, node: &NodeProto) -> Result<f32, GraphError> {
    let Some(name) = node.input_at(1) else { return Ok(0.5) };
    let value = model.floats(name)?.and_then(|v| v.first().copied());
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "a probability fits in f32")]
        Some(p) if (0.0..1.0).contains(&p) => Ok(p as f32),
        Some(p) => {
            Err(model.node_error(node, format!("its ratio is {p}, expected a number in [0, 1)")))
        }
        None => Err(model.node_error(
            node,
            format!("its ratio {name} is no constant: export with a fixed dropout probability"),
        )),
    }
}

/// Puts the multiplication of each site where its node was.
fn rewrite(editor: &mut Editor, layout: &MaskLayout, keep_scale: KeepScale) {
    let nodes = editor.model().graph().node.clone();
    let types = element_types(editor.model());
    let mut sites = layout.sites.iter();
    let mut out = Vec::with_capacity(nodes.len() + 4 * layout.sites.len());
    for node in nodes {
        match sites.as_slice().first().filter(|_| is_dropout(&node)) {
            None => out.push(node),
            Some(site) => {
                sites.next();
                let element = types.get(&node.input[0]).copied().unwrap_or(ElementType::F32);
                mask_site(editor, (&node, element), site, keep_scale);
                out.extend(editor.take_nodes());
            }
        }
    }
    editor.set_nodes(out);
}

/// The factor is made in float32 and cast where the site works in another precision.
fn mask_site(
    editor: &mut Editor,
    (node, element): (&NodeProto, ElementType),
    site: &MaskSite,
    keep_scale: KeepScale,
) {
    let as_i64 = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let start = editor.vector(&[as_i64(site.offset)]);
    let end = editor.vector(&[as_i64(site.offset + site.len)]);
    let axis = editor.vector(&[1]);
    let flat = editor.node("Slice", &[MASKS, &start, &end, &axis], vec![]);
    let shape: Vec<i64> =
        std::iter::once(-1).chain(site.shape.iter().map(|&d| as_i64(d))).collect();
    let shape = editor.vector(&shape);
    let mask = editor.node("Reshape", &[&flat, &shape], vec![]);
    let keep =
        editor.node("Cast", &[&mask], vec![int("to", i64::from(ElementType::F32.to_onnx()))]);
    let scale = match keep_scale {
        KeepScale::Input => KEEP_SCALE.to_owned(),
        KeepScale::OfNode => editor.scalar(1.0 / (1.0 - site.p)),
    };
    let mut factor = editor.node("Mul", &[&keep, &scale], vec![]);
    if element != ElementType::F32 {
        factor = editor.node("Cast", &[&factor], vec![int("to", i64::from(element.to_onnx()))]);
    }
    editor.node_to("Mul", &[&node.input[0], &factor], vec![], &node.output[0]);
}
