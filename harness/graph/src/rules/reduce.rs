//! Sums, means and norms over axes.

use super::super::dim::Dim;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse, length, lengths};
use super::{Rule, as_i64, axis};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "ReduceSum" => Some(sum),
        "ReduceMean" => Some(mean),
        "ReduceL2" => Some(l2),
        "ReduceSumSquare" => Some(sum_square),
        _ => None,
    }
}

/// The reduced axes, and how many elements each result sums up.
fn reduced(r: &Reverse, call: &Call<'_>) -> Result<(Vec<usize>, i64), GraphError> {
    let dims = r.shape(call, call.input(0))?;
    let listed = match call.node.input_at(1) {
        Some(name) => r.integers(call, name)?,
        None => call.node.ints_of("axes").unwrap_or_default().to_vec(),
    };
    let keeps_all = listed.is_empty() && call.node.int_or("noop_with_empty_axes", 0) == 1;
    let axes: Vec<usize> = match (listed.is_empty(), keeps_all) {
        (true, true) => Vec::new(),
        (true, false) => (0..dims.len()).collect(),
        _ => listed.iter().map(|&a| axis(a, dims.len())).collect(),
    };
    let count: Option<i64> = axes.iter().map(|&a| dims.get(a).and_then(|&d| length(d))).product();
    match count.filter(|&n| n > 0) {
        Some(count) => Ok((axes, count)),
        None => Err(r.error(
            call,
            format!("it reduces axes {axes:?} of {dims:?}: mixing the rows of a batch has no rule"),
        )),
    }
}

/// A value of the shape of `y` with the reduced axes put back as ones.
fn with_axes(
    r: &mut Reverse,
    call: &Call<'_>,
    value: &str,
    axes: &[usize],
) -> Result<String, GraphError> {
    if call.node.int_or("keepdims", 1) == 1 {
        return Ok(value.to_owned());
    }
    let mut dims = r.shape(call, call.input(0))?;
    for &a in axes {
        if let Some(dim) = dims.get_mut(a) {
            *dim = Dim::Fixed(1);
        }
    }
    if let Some(lengths) = lengths(&dims) {
        return Ok(r.reshaped(value, &lengths));
    }
    let mut axes: Vec<i64> = axes.iter().map(|&a| as_i64(a)).collect();
    axes.sort_unstable();
    let axes = r.editor.vector(&axes);
    Ok(r.op("Unsqueeze", &[value, &axes]))
}

fn sum(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (axes, _) = reduced(r, call)?;
    let g = with_axes(r, call, call.g(), &axes)?;
    Ok(vec![(0, r.expanded(&g, call.input(0)))])
}

fn mean(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (axes, count) = reduced(r, call)?;
    let share = r.scaled(call.g(), 1.0 / count as f32);
    let g = with_axes(r, call, &share, &axes)?;
    Ok(vec![(0, r.expanded(&g, call.input(0)))])
}

/// `g x / y`.
fn l2(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (axes, _) = reduced(r, call)?;
    let ratio = r.op("Div", &[call.g(), call.y()]);
    let ratio = with_axes(r, call, &ratio, &axes)?;
    Ok(vec![(0, r.mul(call.input(0), &ratio))])
}

/// `2 g x`.
fn sum_square(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (axes, _) = reduced(r, call)?;
    let twice = r.scaled(call.g(), 2.0);
    let g = with_axes(r, call, &twice, &axes)?;
    Ok(vec![(0, r.mul(call.input(0), &g))])
}

#[cfg(test)]
mod tests {
    use crate::edit::{int, ints};
    use crate::rules::testing::{check, refused};
    use crate::testing::GraphUnderTest;

    #[test]
    fn sums_and_means_keep_or_drop_their_axes() {
        for keep in [0, 1] {
            let g = || GraphUnderTest::new(&[3, 4]).node("Mul", &["x", "x"], &["s"], vec![]);
            let sum = g().ints("k", &[-1]);
            check(sum.node("ReduceSum", &["s", "k"], &["y"], vec![int("keepdims", keep)]));
            let options = vec![ints("axes", &[1, 2]), int("keepdims", keep)];
            check(g().node("ReduceMean", &["s"], &["y"], options));
            let mean = g().opset(18).ints("k", &[1]);
            check(mean.node("ReduceMean", &["s", "k"], &["y"], vec![int("keepdims", keep)]));
        }
    }

    #[test]
    fn norms() {
        for op in ["ReduceL2", "ReduceSumSquare"] {
            let g = GraphUnderTest::new(&[3, 4]);
            check(g.node(op, &["x"], &["y"], vec![ints("axes", &[1]), int("keepdims", 0)]));
        }
    }

    #[test]
    fn mixing_the_batch_is_refused() {
        let g = GraphUnderTest::new(&[3, 4]).node("ReduceMean", &["x"], &["m"], vec![]);
        let message = refused(g.node("Sub", &["x", "m"], &["y"], vec![]));
        assert!(message.contains("mixing the rows of a batch"), "{message}");
    }
}
