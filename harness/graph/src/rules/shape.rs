//! Operators that move values without changing them.

use super::super::edit::ints;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::{Rule, as_i64};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        // Between float32 values a cast changes nothing; dropout at inference neither.
        "Identity" | "Cast" | "CastLike" | "Dropout" => Some(same),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => Some(reshape),
        "Transpose" => Some(transpose),
        "Expand" => Some(expand),
        "DepthToSpace" => Some(depth_to_space),
        "SpaceToDepth" => Some(space_to_depth),
        _ => None,
    }
}

fn same(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    if call.node.op_type == "Dropout" && dropout_is_active(r, call)? {
        return Err(r.error(call, "it is in training mode, the gradient of a random graph is not defined: use the graph of inference, or make its masks an input first"));
    }
    Ok(vec![(0, call.g().to_owned())])
}

fn dropout_is_active(r: &Reverse, call: &Call<'_>) -> Result<bool, GraphError> {
    let Some(mode) = call.node.input_at(2) else { return Ok(false) };
    let ratio = call.node.input_at(1).map(|name| r.floats(name)).transpose()?.flatten();
    if ratio.is_some_and(|values| values == [0.0]) {
        return Ok(false);
    }
    Ok(r.integers(call, mode)?.first() != Some(&0))
}

fn reshape(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    Ok(vec![(0, r.like(call, call.g(), call.input(0))?)])
}

/// The inverse permutation.
fn transpose(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let rank = r.shape(call, call.input(0))?.len();
    let reversed: Vec<i64> = (0..rank).rev().map(as_i64).collect();
    let perm = call.node.ints_of("perm").unwrap_or(&reversed);
    let inverse: Option<Vec<i64>> =
        (0..rank).map(|axis| perm.iter().position(|&p| p == as_i64(axis)).map(as_i64)).collect();
    let Some(inverse) = inverse else {
        return Err(r.error(call, format!("perm {perm:?} is no permutation of {rank} axes")));
    };
    Ok(vec![(0, r.op_with("Transpose", &[call.g()], vec![ints("perm", &inverse)]))])
}

fn expand(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let from = r.shape(call, call.y())?;
    Ok(vec![(0, r.unbroadcast(call, call.g().to_owned(), &from, call.input(0))?)])
}

/// `y[c, h b, w b]` of `x[c b b, h, w]`: the blocks go back into channels.
fn depth_to_space(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let [channels, height, width] = image(r, call, call.y())?;
    let b = call.node.int_or("blocksize", 1).max(1);
    let split = r.reshaped(call.g(), &[-1, channels, height / b, b, width / b, b]);
    let perm: &[i64] = match call.node.text_or("mode", "DCR") {
        "CRD" => &[0, 1, 3, 5, 2, 4],
        _ => &[0, 3, 5, 1, 2, 4],
    };
    let moved = r.op_with("Transpose", &[&split], vec![ints("perm", perm)]);
    Ok(vec![(0, r.like(call, &moved, call.input(0))?)])
}

/// `y[b b c, h, w]` of `x[c, h b, w b]`.
fn space_to_depth(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let [channels, height, width] = image(r, call, call.input(0))?;
    let b = call.node.int_or("blocksize", 1).max(1);
    let split = r.reshaped(call.g(), &[-1, b, b, channels, height / b, width / b]);
    let moved = r.op_with("Transpose", &[&split], vec![ints("perm", &[0, 3, 4, 1, 5, 2])]);
    Ok(vec![(0, r.like(call, &moved, call.input(0))?)])
}

fn image(r: &Reverse, call: &Call<'_>, name: &str) -> Result<[i64; 3], GraphError> {
    let dims = r.shape(call, name)?;
    let lengths: Option<Vec<i64>> =
        dims.iter().skip(1).map(|&d| super::super::reverse::length(d)).collect();
    match lengths.as_deref() {
        Some(&[c, h, w]) => Ok([c, h, w]),
        _ => Err(r.error(call, format!("{name} has axes {dims:?}, expected a batch of images"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::edit::{int, ints, text};
    use crate::rules::testing::{check, refused};
    use crate::tensor::TensorData;
    use crate::testing::GraphUnderTest;

    #[test]
    fn reshapes() {
        let g = || GraphUnderTest::new(&[2, 3, 4]).random("w", &[12]);
        let reshaped = g().ints("s", &[0, 2, 12]).node("Reshape", &["x", "s"], &["a"], vec![]);
        check(reshaped.node("Mul", &["a", "w"], &["y"], vec![]));
        let flat = GraphUnderTest::new(&[2, 3]).random("w", &[6]);
        let flat = flat.node("Flatten", &["x"], &["a"], vec![int("axis", 1)]);
        check(flat.node("Mul", &["a", "w"], &["y"], vec![]));
        let g = GraphUnderTest::new(&[2, 1, 3])
            .ints("two", &[2])
            .ints("three", &[3])
            .random("w", &[3, 1]);
        let g = g.node("Squeeze", &["x", "two"], &["a"], vec![]);
        let g = g.node("Unsqueeze", &["a", "three"], &["b"], vec![]);
        check(g.node("Mul", &["b", "w"], &["y"], vec![]));
    }

    #[test]
    fn a_batch_folded_into_heads_comes_back() {
        let g = GraphUnderTest::new(&[4, 3]).ints("s", &[-1, 2, 3]).random("w", &[2, 3]);
        let g =
            g.node("Reshape", &["x", "s"], &["a"], vec![]).node("Mul", &["a", "w"], &["b"], vec![]);
        check(g.ints("t", &[-1, 4, 3]).node("Reshape", &["b", "t"], &["y"], vec![]));
    }

    #[test]
    fn transposes() {
        let g = GraphUnderTest::new(&[2, 3, 4]).random("w", &[4, 2, 3]);
        let g = g.node("Transpose", &["x"], &["a"], vec![ints("perm", &[0, 3, 1, 2])]);
        check(g.node("Mul", &["a", "w"], &["y"], vec![]));
    }

    #[test]
    fn expansion() {
        let g = GraphUnderTest::new(&[1, 3]).ints("s", &[1, 4, 3]).random("w", &[4, 3]);
        let g = g.node("Expand", &["x", "s"], &["a"], vec![]);
        check(g.node("Mul", &["a", "w"], &["y"], vec![]));
    }

    #[test]
    fn blocks_of_pixels() {
        for mode in ["DCR", "CRD"] {
            let g = GraphUnderTest::new(&[8, 2, 3]).random("w", &[2, 4, 6]);
            let attributes = vec![int("blocksize", 2), text("mode", mode)];
            let g = g.node("DepthToSpace", &["x"], &["a"], attributes);
            check(g.node("Mul", &["a", "w"], &["y"], vec![]));
        }
        let g = GraphUnderTest::new(&[2, 4, 6]).random("w", &[8, 2, 3]);
        let g = g.node("SpaceToDepth", &["x"], &["a"], vec![int("blocksize", 2)]);
        check(g.node("Mul", &["a", "w"], &["y"], vec![]));
    }

    #[test]
    fn dropout_at_inference_passes_the_gradient() {
        let mode = |on| TensorData::Bool(vec![on]);
        let g = |on| GraphUnderTest::new(&[2]).floats("p", &[], &[0.5]).weight("m", &[], mode(on));
        check(g(false).node("Dropout", &["x", "p", "m"], &["y"], vec![]));
        let text = refused(g(true).node("Dropout", &["x", "p", "m"], &["y"], vec![]));
        assert!(text.contains("training mode"), "{text}");
        // A ratio of 0 drops nothing in training mode either.
        let g = GraphUnderTest::new(&[2]).floats("p", &[], &[0.0]).weight("m", &[], mode(true));
        check(g.node("Dropout", &["x", "p", "m"], &["y"], vec![]));
    }
}
