//! Inferred shapes against those that the runtime measures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Shapes, probe};
use crate::checks::{self, Names};
use crate::dim::Dim;
use crate::fold::fold;
use crate::model::Model;
use crate::runner::{Feeds, Runner, Source};
use crate::testing::{GraphUnderTest, is_graph, named_graph, runner};
use crate::vjp::{Options, vjp};
use crate::{ConvGradient, GraphError, Tensor, TensorData, fused};

/// Fails the test when it is asked.
pub(crate) struct NeverAsked;

impl Runner for NeverAsked {
    fn run(
        &self,
        source: Source<'_>,
        _: &[Feeds],
        values: &[String],
    ) -> Result<Vec<Vec<Tensor>>, GraphError> {
        let Source::Bytes(bytes) = source else { panic!("asked for {values:?}") };
        let probe = Model::from_bytes(bytes, "probe").unwrap();
        let last: Vec<_> = probe.graph().node.iter().rev().take(2 * values.len()).collect();
        panic!("inference asked the runtime for {values:?}, the last nodes are {last:#?}");
    }
}

/// All graphs of a folder.
fn graphs(folder: &Path) -> BTreeMap<String, Model> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| is_graph(path)).map(|path| named_graph(&path)).collect()
}

fn fixtures() -> BTreeMap<String, Model> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut all = graphs(&root.join("tests/data"));
    all.extend(graphs(&root.join("tests/data/public")));
    let half = graphs(&root.join("tests/data/public/half")).into_iter();
    all.extend(half.map(|(name, model)| (format!("half {name}"), model)));
    all.extend(graphs(&root.join("../../experiments/models/ddpm-cifar10-small")));
    assert!(all.len() >= 25, "{}", all.len());
    all
}

/// The image-like input with an open batch.
fn state(model: &Model) -> String {
    let image =
        |p: &crate::Port| p.element.is_float() && p.dims.as_ref().is_some_and(|d| d.len() >= 3);
    let names = ["sample", "x"];
    let inputs = model.inputs();
    let named = inputs.iter().find(|p| names.contains(&p.name.as_str()));
    named.or_else(|| inputs.iter().find(|p| image(p))).unwrap().name.clone()
}

/// Every value of the graph, inferred without the runtime, has the shape and the integers that the runtime measures.
fn agrees(name: &str, model: &Model, rows: usize) {
    let model = fold(model.clone()).unwrap();
    let x = state(&model);
    let inferred = Shapes::of_images(&model, (&x, rows), &NeverAsked)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    let nodes = &model.graph().node;
    let values: Vec<String> =
        nodes.iter().flat_map(|n| &n.output).filter(|o| !o.is_empty()).cloned().collect();
    let told = probe::ask(&model, (&x, rows), &values, &runner()).unwrap();
    assert_eq!(told.len(), values.len());
    let mut n_integers = 0;
    for told in told {
        let value = &told.name;
        assert_eq!(inferred.of(value), Some(told.dims.as_slice()), "{name}: axes of {value}");
        if let Some(constant) = inferred.constant(value) {
            let measured = told.constant.and_then(|t| t.to_i64());
            assert_eq!(measured.as_ref(), Some(&constant), "{name}: elements of {value}");
            n_integers += 1;
        } else if let Some(multiples) = inferred.multiples(value) {
            assert_eq!(told.multiples.as_deref(), Some(multiples), "{name}: elements of {value}");
            n_integers += 1;
        } else {
            // Integers that the inference leaves out hold what was fed.
            assert!(told.constant.is_none(), "{name}: {value} is constant, and not known");
        }
    }
    println!("{name}: {} values, {n_integers} of known integers", values.len());
}

#[test]
fn inferred_shapes_are_those_that_the_runtime_measures() {
    for (name, model) in fixtures() {
        agrees(&name, &model, 1);
    }
}

#[test]
fn inferred_shapes_of_derived_graphs_are_those_that_the_runtime_measures() {
    for (name, model) in fixtures() {
        if name.contains("train") || name.contains("extractor") {
            continue;
        }
        for conv in [ConvGradient::ConvTranspose, ConvGradient::FlippedConv] {
            let names = Names { x: Some(&state(&model)), output: None };
            let Ok(_) = checks::interface(&model, names) else { continue };
            agrees(
                &format!("{name} vjp {conv:?}"),
                &vjp(&model, Options { names, conv }, &NeverAsked).unwrap(),
                1,
            );
            let options = fused::Options { names, conv, n_draws: 3 };
            let derived = fused::variance_gradient(&model, options, &NeverAsked).unwrap();
            agrees(&format!("{name} fused {conv:?}"), &derived, 3);
        }
    }
}

/// What only the runtime knows is asked for, and what follows from it is inferred.
#[test]
fn an_operator_without_a_rule_is_asked_for_alone() {
    let graph = GraphUnderTest::new(&[3, 4])
        .weight("which", &[4], TensorData::Bool(vec![true, false, true, false]))
        .node("NonZero", &["which"], &["places"], vec![])
        .ints("flat", &[-1])
        .node("Reshape", &["places", "flat"], &["list"], vec![])
        .node("Gather", &["x", "list"], &["y"], vec![crate::edit::int("axis", 2)]);
    let model = graph.model();
    let shapes = Shapes::of_batch(&model, "x", &runner()).unwrap();
    assert_eq!(shapes.constant("list"), Some(vec![0, 2]));
    let expected = [Dim::Batch(1), Dim::Fixed(3), Dim::Fixed(2)];
    assert_eq!(shapes.of("y"), Some(&expected[..]));
}

#[test]
fn a_batch_that_is_baked_in_is_named_with_its_size() {
    let reshaped = GraphUnderTest::new(&[3, 2]).ints("s", &[4, 6]);
    let reshaped = reshaped.node("Reshape", &["x", "s"], &["y"], vec![]);
    let added = GraphUnderTest::new(&[3, 2]).random("w", &[4, 3, 2]);
    let added = added.node("Add", &["x", "w"], &["y"], vec![]);
    let squeezed = GraphUnderTest::new(&[3, 2]).ints("k", &[0]);
    let squeezed = squeezed.node("Squeeze", &["x", "k"], &["y"], vec![]);
    for (graph, node, rows) in
        [(reshaped, "Reshape_0", 4), (added, "Add_0", 4), (squeezed, "Squeeze_0", 1)]
    {
        let error = Shapes::of_batch(&graph.model(), "x", &NeverAsked).unwrap_err().to_string();
        assert!(error.contains(&format!("node {node}")), "{error}");
        assert!(error.contains(&format!("a batch of {rows} is baked in")), "{error}");
        assert!(error.contains("input x") && error.contains("dynamic axis"), "{error}");
    }
}
