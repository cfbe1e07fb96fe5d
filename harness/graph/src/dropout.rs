//! `Dropout` nodes become multiplications by masks that the caller feeds.
//!
//! Why not run `Dropout` itself? ONNX Runtime removes it in every optimised session without a word,
//! also in training mode, so the uncertainty would be zero; and where it survives, its random state
//! belongs to the process, so a row would depend on the batch around it.

use serde::{Deserialize, Serialize};

use super::checks::{self, Interface};
use super::dim::Dim;
use super::edit::{Editor, int};
use super::error::GraphError;
use super::fold::fold;
use super::model::{DeclaredDim, Model, Port};
use super::proto::NodeProto;
use super::runner::Runner;
use super::shapes::Shapes;
use super::tensor::ElementType;

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
    /// Sites in the order of the graph.
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
/// since the masks alone decide. The batch stays dynamic and each row sees its own masks alone.
///
/// # Errors
/// [`GraphError::Interface`] where the graph has no `Dropout` or an input is called `masks` already,
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
    let model = fold(model.clone())?;
    let shapes = Shapes::probe(&model, &x, runner)?;
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

fn layout(model: &Model, shapes: &Shapes) -> Result<MaskLayout, GraphError> {
    let graph = model.graph();
    let used: std::collections::BTreeSet<&str> = graph
        .node
        .iter()
        .flat_map(|n| &n.input)
        .chain(graph.output.iter().map(|v| &v.name))
        .map(String::as_str)
        .collect();
    let mut layout = MaskLayout { total: 0, sites: Vec::new() };
    for node in graph.node.iter().filter(|n| is_dropout(n)) {
        if node.output.get(1).is_some_and(|mask| used.contains(mask.as_str())) {
            return Err(model.node_error(
                node,
                "its own mask is used elsewhere in the graph: export without it",
            ));
        }
        let shape = site_shape(model, shapes, node)?;
        let len = shape.iter().product();
        let (offset, p) = (layout.total, probability(model, node)?);
        layout.sites.push(MaskSite { node: super::model::node_label(node), offset, len, shape, p });
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
    let value = model.initializer(name)?.and_then(|t| t.to_f64()).and_then(|v| v.first().copied());
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
    let mut sites = layout.sites.iter();
    let mut out = Vec::with_capacity(nodes.len() + 4 * layout.sites.len());
    for node in nodes {
        match sites.as_slice().first().filter(|_| is_dropout(&node)) {
            None => out.push(node),
            Some(site) => {
                sites.next();
                mask_site(editor, &node, site, keep_scale);
                out.extend(editor.take_nodes());
            }
        }
    }
    editor.set_nodes(out);
}

fn mask_site(editor: &mut Editor, node: &NodeProto, site: &MaskSite, keep_scale: KeepScale) {
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
    let factor = editor.node("Mul", &[&keep, &scale], vec![]);
    editor.node_to("Mul", &[&node.input[0], &factor], vec![], &node.output[0]);
}

#[cfg(test)]
mod tests {
    use super::{KeepScale, MaskLayout, to_mask_input};
    use crate::dim::Dim;
    use crate::model::Model;
    use crate::tensor::{ElementType, Tensor, TensorData};
    use crate::testing::{GraphUnderTest, noise, random_tensor, run, runner, values};

    /// `y = dropout_0.2(dropout_0.5(x) * w)`, the second site flattened.
    fn two_sites() -> Model {
        GraphUnderTest::new(&[2, 3])
            .random("w", &[2, 3])
            .floats("half", &[], &[0.5])
            .floats("fifth", &[], &[0.2])
            .weight("on", &[], TensorData::Bool(vec![true]))
            .ints("flat", &[-1, 6])
            .node("Dropout", &["x", "half", "on"], &["a", "unused"], vec![])
            .node("Mul", &["a", "w"], &["b"], vec![])
            .node("Reshape", &["b", "flat"], &["c"], vec![])
            .node("Dropout", &["c", "fifth", "on"], &["y"], vec![])
            .model()
    }

    fn masks(rows: usize, total: usize, seed: u64) -> Tensor {
        let bits = noise(rows * total, seed).iter().map(|&v| u8::from(v > 0.0)).collect();
        Tensor::new(vec![rows, total], TensorData::U8(bits)).unwrap()
    }

    #[test]
    fn sites_lie_one_after_the_other_and_keep_their_probability() {
        let (model, layout) = to_mask_input(&two_sites(), KeepScale::OfNode, &runner()).unwrap();
        assert_eq!(layout.total, 12);
        assert_eq!((layout.sites[0].offset, layout.sites[0].shape.as_slice()), (0, &[2, 3][..]));
        assert_eq!((layout.sites[1].offset, layout.sites[1].shape.as_slice()), (6, &[6][..]));
        assert!((layout.sites[0].p - 0.5).abs() < 1e-7 && (layout.sites[1].p - 0.2).abs() < 1e-7);
        assert_eq!(MaskLayout::of(&model), Some(layout));
        assert!(model.graph().node.iter().all(|n| n.op_type != "Dropout"));
    }

    #[test]
    fn a_masked_graph_is_the_product_of_its_masks_at_any_batch() {
        let plain = two_sites();
        let weights = plain.initializer("w").unwrap().unwrap();
        let w = values(&weights);
        let (model, _) = to_mask_input(&plain, KeepScale::OfNode, &runner()).unwrap();
        for rows in [1, 4] {
            let (x, m) = (random_tensor(&[rows, 2, 3], 3), masks(rows, 12, 4));
            let bits = m.to_i64().unwrap();
            let feeds = vec![("x".to_owned(), x.clone()), ("masks".to_owned(), m)];
            let y = run(&model, feeds, &["y"]).remove(0);
            for (i, &got) in values(&y).iter().enumerate() {
                let (row, k) = (i / 6, i % 6);
                let kept = (bits[row * 12 + k] * bits[row * 12 + 6 + k]) as f32;
                let expected = values(&x)[i] * 2.0 * w[k] * 1.25 * kept;
                assert!(
                    (got - expected).abs() <= 1e-6,
                    "row {row}, element {k}: {got} and {expected}"
                );
            }
        }
    }

    #[test]
    fn masks_of_ones_and_a_keep_scale_of_one_change_nothing() {
        let (model, layout) = to_mask_input(&two_sites(), KeepScale::Input, &runner()).unwrap();
        let x = random_tensor(&[2, 2, 3], 5);
        let ones =
            Tensor::new(vec![2, layout.total], TensorData::U8(vec![1; 2 * layout.total])).unwrap();
        let feeds = |scale| {
            vec![
                ("x".to_owned(), x.clone()),
                ("masks".to_owned(), ones.clone()),
                ("keep_scale".to_owned(), Tensor::scalar_f32(scale)),
            ]
        };
        let plain = run(&model, feeds(1.0), &["y"]).remove(0);
        let w = two_sites().initializer("w").unwrap().unwrap();
        for (i, &got) in values(&plain).iter().enumerate() {
            assert!((got - values(&x)[i] * values(&w)[i % 6]).abs() <= 1e-6);
        }
        let scaled = run(&model, feeds(3.0), &["y"]).remove(0);
        for (a, b) in values(&plain).iter().zip(values(&scaled)) {
            assert!((9.0 * a - b).abs() <= 1e-5);
        }
    }

    #[test]
    fn a_graph_without_dropout_is_refused() {
        let model = GraphUnderTest::new(&[3, 2]).node("Relu", &["x"], &["y"], vec![]).model();
        let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
        assert!(text.contains("no Dropout node: export the model in train mode"), "{text}");
    }

    #[test]
    fn a_site_that_mixes_rows_is_refused_by_name() {
        let model = GraphUnderTest::new(&[2, 3])
            .node("Transpose", &["x"], &["a"], vec![crate::edit::ints("perm", &[1, 0, 2])])
            .node("Dropout", &["a"], &["y"], vec![])
            .model();
        let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
        assert!(
            text.contains("node Dropout_1 (Dropout)") && text.contains("the batch first"),
            "{text}"
        );
    }

    #[test]
    fn a_second_image_like_input_is_no_hindrance() {
        let model = GraphUnderTest::new(&[2, 3])
            .input("context", ElementType::F32, &[Dim::Batch(1), Dim::Fixed(2), Dim::Fixed(3)])
            .node("Add", &["x", "context"], &["a"], vec![])
            .node("Dropout", &["a"], &["y"], vec![])
            .model();
        let (_, layout) = to_mask_input(&model, KeepScale::Input, &runner()).unwrap();
        assert_eq!(layout.sites[0].shape, [2, 3]);
    }

    #[test]
    fn a_probability_from_an_input_is_refused() {
        let model = GraphUnderTest::new(&[2, 3])
            .input("rate", ElementType::F32, &[])
            .node("Dropout", &["x", "rate"], &["y"], vec![])
            .model();
        let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
        assert!(text.contains("ratio rate is no constant"), "{text}");
    }

    #[test]
    fn an_input_called_masks_is_not_overwritten() {
        let model = GraphUnderTest::new(&[2, 3])
            .input("masks", ElementType::F32, &[Dim::Batch(1)])
            .node("Dropout", &["x"], &["y"], vec![])
            .model();
        let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
        assert!(text.contains("already has a value called masks"), "{text}");
    }
}
