//! Floating-point operations of a graph for each image, counted by the shapes of its values.
//!
//! # What counts?
//! Products: `Conv`, `ConvTranspose`, `MatMul`, `Gemm`, `Einsum` and `Attention`. A multiply-add is two operations.
//! Normalisations, activations, softmax and sums count nothing: on U-Nets and transformers they are a few per cent of the
//! operations, and cost memory traffic rather than arithmetic.

use std::collections::{BTreeMap, HashSet};

use super::checks::{self, Interface, Names};
use super::dim::Dim;
use super::error::GraphError;
use super::fold::fold;
use super::model::Model;
use super::path::active_values;
use super::proto::NodeProto;
use super::runner::Runner;
use super::shapes::Shapes;

/// What one image costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageWork {
    /// Operations of a run of the graph.
    pub forward: u64,
    /// Operations of the way back from the output to `x`: what a vector-Jacobian product costs on top. Each product costs
    /// itself once more for each factor that depends on `x`; weights do not.
    pub reverse: u64,
    /// Axes of the output behind the batch.
    pub output: Vec<usize>,
}

/// Counts the operations of `model` for each image, and tells the shape of its output.
///
/// # Errors
/// As [`super::memory::bytes_per_image`]; [`GraphError::Node`] for an operator that is none of the standard set, and for a
/// product whose shape moves with more than the batch.
pub fn per_image(
    model: &Model,
    names: Names<'_>,
    runner: &dyn Runner,
) -> Result<ImageWork, GraphError> {
    checks::supported(model)?;
    let interface = checks::interface_of_any_batch(model, names)?;
    count(&fold(model.clone())?, &interface, runner)
}

fn count(
    model: &Model,
    Interface { x, output }: &Interface,
    runner: &dyn Runner,
) -> Result<ImageWork, GraphError> {
    let shapes = Shapes::of_batch(model, x, runner)?;
    let active = active_values(model, x);
    let needed = needed_for(model, output);
    let mut work = ImageWork::default();
    for node in &model.graph().node {
        let out = node.output.first().map_or("", String::as_str);
        if !needed.contains(out) {
            continue;
        }
        let Some(n) = Count { model, shapes: &shapes, node }.operations()? else { continue };
        work.forward += n;
        if active.contains(out) {
            let factors = node.input.iter().take(factors(node)).filter(|i| active.contains(*i));
            work.reverse += n * factors.count() as u64;
        }
    }
    let axes = shapes.of(output).unwrap_or_default();
    work.output = axes.iter().skip(1).map(|axis| length(*axis)).collect();
    Ok(work)
}

/// Values that the output is computed from, and the output.
fn needed_for(model: &Model, output: &str) -> HashSet<String> {
    let mut needed = HashSet::from([output.to_owned()]);
    for node in model.graph().node.iter().rev() {
        if node.output.iter().any(|value| needed.contains(value)) {
            needed.extend(node.input.iter().cloned());
        }
    }
    needed
}

/// Inputs of a product that are factors of it; bias and mask are not.
fn factors(node: &NodeProto) -> usize {
    match node.op_type.as_str() {
        "Einsum" => node.input.len(),
        "Attention" => 3,
        _ => 2,
    }
}

/// Length at a batch of one.
fn length(dim: Dim) -> usize {
    match dim {
        Dim::Fixed(n) | Dim::Batch(n) => n,
        Dim::Other => 0,
    }
}

/// One node, with all that is known of its values.
struct Count<'a> {
    model: &'a Model,
    shapes: &'a Shapes,
    node: &'a NodeProto,
}

impl Count<'_> {
    /// Operations for each image; `None` for a node that is no product, and for one that does not grow with the batch.
    fn operations(&self) -> Result<Option<u64>, GraphError> {
        if !self.node.is_standard() {
            let domain = &self.node.domain;
            let what =
                format!("it is an operator of {domain}, and nobody here knows what it computes");
            return Err(self.model.node_error(self.node, what));
        }
        let n = match self.node.op_type.as_str() {
            "Conv" => self.elements_of_output()? * self.window()?,
            "ConvTranspose" => self.elements(self.input(0))? * self.window()?,
            "MatMul" => self.elements_of_output()? * self.axis(self.input(0), -1)?,
            "Gemm" => {
                let inner = if self.node.int_or("transA", 0) == 0 { -1 } else { 0 };
                self.elements_of_output()? * self.axis(self.input(0), inner)?
            }
            "Einsum" => self.einsum()?,
            // Scores of all pairs, then their weighted sums.
            "Attention" => {
                let keys = self.axis(self.input(1), -2)?;
                (self.elements(self.input(0))? + self.elements_of_output()?) * keys
            }
            _ => return Ok(None),
        };
        let grows = |name: &str| {
            self.shapes.of(name).is_some_and(|dims| dims.iter().any(|d| matches!(d, Dim::Batch(_))))
        };
        let out = self.node.output.first().is_some_and(|name| grows(name));
        Ok(out.then_some(2 * n))
    }

    fn input(&self, index: usize) -> &str {
        self.node.input_at(index).unwrap_or_default()
    }

    fn dims(&self, name: &str) -> Result<&[Dim], GraphError> {
        match self.shapes.of(name) {
            Some(dims) if !dims.contains(&Dim::Other) => Ok(dims),
            _ => {
                let what = format!("the shape of {name} moves with more than the batch");
                Err(self.model.node_error(self.node, what))
            }
        }
    }

    fn elements(&self, name: &str) -> Result<u64, GraphError> {
        Ok(self.dims(name)?.iter().map(|dim| length(*dim) as u64).product())
    }

    fn elements_of_output(&self) -> Result<u64, GraphError> {
        self.elements(self.node.output.first().map_or("", String::as_str))
    }

    /// Length of one axis; negative numbers count from the end.
    fn axis(&self, name: &str, index: isize) -> Result<u64, GraphError> {
        let dims = self.dims(name)?;
        let place = if index < 0 { dims.len().checked_add_signed(index) } else { Some(0) };
        let found = place.and_then(|place| dims.get(place));
        let missing = || self.model.node_error(self.node, format!("{name} has too few axes"));
        found.map(|dim| length(*dim) as u64).ok_or_else(missing)
    }

    /// Elements of the weights behind their first axis: what each element of a convolution is a sum over.
    fn window(&self) -> Result<u64, GraphError> {
        let dims = self.dims(self.input(1))?;
        Ok(dims.iter().skip(1).map(|dim| length(*dim) as u64).product())
    }

    /// One multiplication for each setting of all letters: two operands are one product.
    fn einsum(&self) -> Result<u64, GraphError> {
        let equation: String = self.node.text_or("equation", "").split_whitespace().collect();
        let inputs = equation.split_once("->").map_or(equation.as_str(), |(inputs, _)| inputs);
        let mut lengths = BTreeMap::new();
        for (letters, name) in inputs.split(',').zip(&self.node.input) {
            let dims = self.dims(name)?;
            if letters.contains('.') || letters.chars().count() != dims.len() {
                let what = format!("equation {equation:?}: write the axes of ... out");
                return Err(self.model.node_error(self.node, what));
            }
            lengths.extend(letters.chars().zip(dims.iter().map(|dim| length(*dim) as u64)));
        }
        Ok(lengths.values().product())
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageWork, Interface, count, per_image};
    use crate::edit::{int, ints, text};
    use crate::fold::fold;
    use crate::golden::Golden;
    use crate::testing::{GraphUnderTest, runner};
    use crate::vjp::{JTV, Options, vjp};
    use crate::{Model, Names};

    fn work(model: &Model) -> ImageWork {
        per_image(model, Names::default(), &runner()).unwrap()
    }

    /// Two operations for each multiply-add: 4 x 6 x 6 sums over 3 x 3 x 3 for the first, its stride of two for the second.
    #[test]
    fn convolutions_count_a_window_for_each_element() {
        let plain = GraphUnderTest::new(&[3, 6, 6]).random("w", &[4, 3, 3, 3]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            vec![ints("pads", &[1, 1, 1, 1])],
        );
        let (n, output) = (2 * 4 * 36 * 27, vec![4, 6, 6]);
        assert_eq!(work(&plain.model()), ImageWork { forward: n, reverse: n, output });
        let pads = || vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])];
        let strided = GraphUnderTest::new(&[3, 6, 6]).random("w", &[4, 3, 3, 3]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            pads(),
        );
        assert_eq!(work(&strided.model()).forward, 2 * 4 * 9 * 27);
        let grouped = GraphUnderTest::new(&[4, 3, 3]).random("w", &[4, 1, 3, 3]).node(
            "Conv",
            &["x", "w"],
            &["y"],
            vec![ints("pads", &[1; 4]), int("group", 4)],
        );
        assert_eq!(work(&grouped.model()).forward, 2 * 4 * 9 * 9);
        // As many as the convolution that it is the transpose of.
        let up = GraphUnderTest::new(&[4, 3, 3]).random("w", &[4, 3, 3, 3]).node(
            "ConvTranspose",
            &["x", "w"],
            &["y"],
            vec![ints("strides", &[2, 2])],
        );
        assert_eq!(work(&up.model()).forward, 2 * 4 * 9 * 27);
    }

    /// `x [5, 4]` times weights `[4, 7]`, then times its own transpose: the second has two factors that depend on `x`.
    #[test]
    fn products_count_their_inner_axis_and_factors_that_depend_on_x_count_back() {
        let graph = GraphUnderTest::new(&[5, 4])
            .random("w", &[4, 7])
            .node("MatMul", &["x", "w"], &["a"], vec![])
            .node("Transpose", &["a"], &["b"], vec![ints("perm", &[0, 2, 1])])
            .node("MatMul", &["a", "b"], &["y"], vec![]);
        let (first, second) = (2 * 5 * 7 * 4, 2 * 5 * 5 * 7);
        let got = work(&graph.model());
        assert_eq!((got.forward, got.reverse), (first + second, first + 2 * second));
        let einsum = GraphUnderTest::new(&[5, 4]).random("w", &[4, 7]).node(
            "Einsum",
            &["x", "w"],
            &["y"],
            vec![text("equation", "bij,jk->bik")],
        );
        assert_eq!(work(&einsum.model()).forward, first);
    }

    /// A derived graph is the forward graph without its linear end, whose values nothing reads, and the way back: counted node by
    /// node, it holds what the plain graph promises.
    #[test]
    fn the_way_back_costs_what_the_derived_graph_has_in_it() {
        for name in ["ddpm_traced_17", "ddpm_dynamo_20", "adm_traced_13", "uvit_traced_17"] {
            let plain = fold(Golden::read(name).model).unwrap();
            let promised = work(&plain);
            let derived = vjp(&plain, Options::default(), &runner()).unwrap();
            let names = Names { x: Some("sample"), output: Some(JTV) };
            let back = per_image(&derived, names, &runner()).unwrap();
            assert!(promised.forward > 100_000 && promised.reverse >= promised.forward, "{name}");
            let expected = without_linear_end(&plain) + promised.reverse;
            assert!(back.forward >= expected, "{name}: {} of {expected}", back.forward);
            let extra = back.forward - expected;
            // The way back through a pool, which counts nothing on the way forth, is written as a small convolution.
            let pools = plain.graph().node.iter().any(|node| node.op_type == "AveragePool");
            assert!(extra == 0 || pools && extra < expected / 200, "{name}: {extra} of {expected}");
        }
    }

    /// Operations up to the last value that does not enter the output linearly: nothing behind it is read on the way back.
    fn without_linear_end(model: &Model) -> u64 {
        const LINEAR: [&str; 8] =
            ["Conv", "Gemm", "MatMul", "Add", "Reshape", "Transpose", "Slice", "Identity"];
        let graph = model.graph();
        let maker = |value: &String| graph.node.iter().find(|node| node.output.contains(value));
        let mut output = model.outputs()[0].name.clone();
        while let Some(node) = maker(&output).filter(|n| LINEAR.contains(&n.op_type.as_str())) {
            output = node.input.iter().find(|input| maker(input).is_some()).unwrap().clone();
        }
        let x = model.inputs()[0].name.clone();
        count(model, &Interface { x, output }, &runner()).unwrap().forward
    }
}
