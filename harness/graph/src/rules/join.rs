//! `Split` and `Concat`: each is the gradient of the other.

#![expect(clippy::unnecessary_wraps, reason = "all rules have one signature")]

use super::super::dim::Dim;
use super::super::edit::int;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::index::cut;
use super::{Rule, as_i64, axis};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Split" => Some(split),
        "Concat" => Some(concat),
        _ => None,
    }
}

fn split(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let mut parts = Vec::with_capacity(call.grads.len());
    for (output, g) in call.node.output.iter().zip(call.grads) {
        parts.push(if let Some(g) = g {
            g.clone()
        } else {
            let shape = r.op("Shape", &[output]);
            r.op("ConstantOfShape", &[&shape])
        });
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let axis = int("axis", call.node.int_or("axis", 0));
    Ok(vec![(0, r.op_with("Concat", &parts, vec![axis]))])
}

fn concat(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let rank = r.shape(call, call.y())?.len();
    let a = axis(call.node.int_or("axis", 0), rank);
    let mut start = 0;
    let mut out = Vec::new();
    for (index, input) in call.node.input.iter().enumerate() {
        let dims = r.shape(call, input)?;
        let Some(Dim::Fixed(length)) = dims.get(a).copied() else {
            return concat_batches(r, call, a);
        };
        let end = start + as_i64(length);
        if r.is_active(input) {
            out.push((index, cut(r, call.g(), &[(a, start, end)])));
        }
        start = end;
    }
    Ok(out)
}

/// Batches joined inside the graph: each gets its rows back.
fn concat_batches(r: &mut Reverse, call: &Call<'_>, a: usize) -> Result<Gradients, GraphError> {
    let mut lengths = Vec::new();
    for input in &call.node.input {
        let dims = r.shape(call, input)?;
        let Some(Dim::Batch(length)) = dims.get(a).copied() else {
            return Err(r.error(call, format!(
                "it joins along the batch, and {input} has axes {dims:?}: only values whose rows are multiples of the batch size have a rule"
            )));
        };
        lengths.push(length);
    }
    let ends: Vec<usize> = (0..=lengths.len()).map(|k| lengths[..k].iter().sum()).collect();
    let total = ends.last().copied().unwrap_or(1);
    let places = r.times_batch(call.y(), (a, total), &ends);
    let axes = r.editor.vector(&[as_i64(a)]);
    let mut out = Vec::new();
    for (index, input) in call.node.input.iter().enumerate() {
        if r.is_active(input) {
            let part = [call.g(), &places[index], &places[index + 1], &axes];
            out.push((index, r.op("Slice", &part)));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::edit::int;
    use crate::rules::testing::check;
    use crate::testing::GraphUnderTest;

    /// `y = part of x`, squared so that the gradient is not constant.
    fn squared(g: GraphUnderTest) -> GraphUnderTest {
        g.node("Mul", &["a", "a"], &["y"], vec![])
    }

    #[test]
    fn a_split_over_the_batch() {
        let g = GraphUnderTest::new(&[3]).floats("w", &[], &[3.0]);
        let g = g
            .node("Concat", &["x", "x"], &["both"], vec![int("axis", 0)])
            .node("Exp", &["both"], &["f"], vec![])
            .opset(18)
            .node("Split", &["f"], &["b", "c"], vec![int("axis", 0), int("num_outputs", 2)])
            .node("Mul", &["c", "w"], &["d"], vec![]);
        check(g.node("Mul", &["b", "d"], &["y"], vec![]));
    }

    #[test]
    fn splits_and_joins() {
        let g = || GraphUnderTest::new(&[5, 2]).ints("n", &[2, 3]);
        let axis = || vec![int("axis", 1)];
        check(squared(g().node("Split", &["x", "n"], &["b", "a"], axis())));
        let g = g().node("Split", &["x", "n"], &["b", "c"], axis()).random("w", &[4, 2]);
        let g = g.node("Concat", &["c", "b", "c"], &["a"], axis());
        check(squared(g));
    }

    /// Two batches in one call, as classifier-free guidance inside a graph has them: `y = 3 f(x)_1 - 2 f(2 x)_2`.
    #[test]
    fn batches_that_are_joined_and_cut_apart() {
        let g = GraphUnderTest::new(&[3, 2]).floats("two", &[], &[2.0]).floats("w", &[], &[3.0]);
        let g = g.ints("zero", &[0]).ints("one", &[1]).ints("halves", &[2]);
        let g = g
            .node("Mul", &["x", "two"], &["u"], vec![])
            .node("Concat", &["x", "u"], &["both"], vec![int("axis", 0)])
            .node("Exp", &["both"], &["f"], vec![])
            .node("Shape", &["f"], &["shape"], vec![])
            .node("Gather", &["shape", "zero"], &["rows"], vec![])
            .node("Div", &["rows", "halves"], &["n"], vec![])
            .node("Slice", &["f", "zero", "n", "zero", "one"], &["first"], vec![])
            .node("Slice", &["f", "n", "rows", "zero"], &["second"], vec![])
            .node("Mul", &["first", "w"], &["a"], vec![])
            .node("Mul", &["second", "two"], &["b"], vec![]);
        check(g.node("Sub", &["a", "b"], &["y"], vec![]));
    }
}
