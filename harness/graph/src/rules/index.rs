//! Operators that take parts of values: the gradient is put back among zeros.

#![expect(clippy::unnecessary_wraps, reason = "all rules have one signature")]

use super::super::dim::Dim;
use super::super::edit::int;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse, lengths};
use super::{Rule, as_i64, axis};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Slice" => Some(slice),
        "Split" => Some(split),
        "Concat" => Some(concat),
        "Pad" => Some(pad),
        "Gather" => Some(gather),
        _ => None,
    }
}

/// One axis of a `Slice`.
struct Range {
    axis: usize,
    start: i64,
    step: i64,
    /// Elements taken.
    taken: i64,
    /// Elements there are.
    length: i64,
}

fn slice(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let ranges = ranges(r, call)?;
    let rank = r.shape(call, call.input(0))?.len();
    let mut g = call.g().to_owned();
    if ranges.iter().any(|range| range.step > 1) {
        let mut lengths = lengths(&r.shape(call, call.y())?).ok_or_else(|| {
            r.error(call, "steps on a value with several moving axes have no rule")
        })?;
        for range in ranges.iter().filter(|range| range.step > 1) {
            g = stretched(r, &g, &mut lengths, range);
        }
    }
    let mut pads = vec![0; 2 * rank];
    for range in &ranges {
        pads[range.axis] = range.start;
        pads[rank + range.axis] = range.length - range.start - range.taken * range.step;
    }
    Ok(vec![(0, padded(r, &g, &pads))])
}

/// The axes on which less than everything is taken.
fn ranges(r: &Reverse, call: &Call<'_>) -> Result<Vec<Range>, GraphError> {
    let (x, y) = (r.shape(call, call.input(0))?, r.shape(call, call.y())?);
    let starts = r.integers(call, call.input(1))?;
    let list = |index: usize, default: Vec<i64>| match call.node.input_at(index) {
        Some(name) => r.integers(call, name),
        None => Ok(default),
    };
    let axes = list(3, (0..starts.len()).map(as_i64).collect())?;
    let steps = list(4, vec![1; starts.len()])?;
    let mut out = Vec::new();
    for ((&a, &start), &step) in axes.iter().zip(&starts).zip(&steps) {
        let a = axis(a, x.len());
        match (x.get(a), y.get(a)) {
            (Some(Dim::Fixed(length)), Some(Dim::Fixed(taken))) if step >= 1 => {
                let (length, taken) = (as_i64(*length), as_i64(*taken));
                let start = if start < 0 { start + length } else { start }.clamp(0, length);
                out.push(Range { axis: a, start, step, taken, length });
            }
            (Some(from), Some(to)) if from == to && start == 0 && step == 1 => {}
            _ => {
                return Err(r.error(call, format!(
                    "it takes from {start} by {step} on axis {a} of {x:?}: parts of the batch and backward steps have no rule"
                )));
            }
        }
    }
    Ok(out)
}

/// `step - 1` zeros after each element of one axis of `g`, whose lengths are kept up to date.
fn stretched(r: &mut Reverse, g: &str, lengths: &mut Vec<i64>, range: &Range) -> String {
    lengths.insert(range.axis + 1, 1);
    let apart = r.reshaped(g, lengths);
    let mut pads = vec![0; 2 * lengths.len()];
    pads[lengths.len() + range.axis + 1] = range.step - 1;
    let filled = padded(r, &apart, &pads);
    lengths.remove(range.axis + 1);
    lengths[range.axis] = range.taken * range.step;
    r.reshaped(&filled, lengths)
}

/// Zeros around; negative counts cut.
fn padded(r: &mut Reverse, g: &str, pads: &[i64]) -> String {
    if pads.iter().all(|&p| p == 0) {
        return g.to_owned();
    }
    let pads = r.editor.vector(pads);
    r.op("Pad", &[g, &pads])
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
            return Err(r.error(
                call,
                format!("{input} has axes {dims:?}: joining along a moving axis has no rule"),
            ));
        };
        let end = start + as_i64(length);
        if r.is_active(input) {
            out.push((index, cut(r, call.g(), &[(a, start, end)])));
        }
        start = end;
    }
    Ok(out)
}

/// Elements `start..end` of some axes.
fn cut(r: &mut Reverse, g: &str, parts: &[(usize, i64, i64)]) -> String {
    let starts: Vec<i64> = parts.iter().map(|p| p.1).collect();
    let ends: Vec<i64> = parts.iter().map(|p| p.2).collect();
    let axes: Vec<i64> = parts.iter().map(|p| as_i64(p.0)).collect();
    let (starts, ends) = (r.editor.vector(&starts), r.editor.vector(&ends));
    let axes = r.editor.vector(&axes);
    r.op("Slice", &[g, &starts, &ends, &axes])
}

fn pad(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let mode = call.node.text_or("mode", "constant");
    if mode != "constant" {
        return Err(
            r.error(call, format!("mode {mode} has no rule, only padding by a constant has"))
        );
    }
    let x = r.shape(call, call.input(0))?;
    let pads = r.integers(call, call.input(1))?;
    let axes = match call.node.input_at(3) {
        Some(name) => r.integers(call, name)?,
        None => (0..x.len()).map(as_i64).collect(),
    };
    let mut parts = Vec::new();
    for (k, &a) in axes.iter().enumerate() {
        let a = axis(a, x.len());
        let (Some(&before), Some(&after)) = (pads.get(k), pads.get(k + axes.len())) else {
            return Err(r.error(call, format!("pads {pads:?} do not fit {} axes", axes.len())));
        };
        match x.get(a) {
            _ if before == 0 && after == 0 => {}
            Some(Dim::Fixed(length)) if before >= 0 && after >= 0 => {
                parts.push((a, before, before + as_i64(*length)));
            }
            _ => {
                return Err(r.error(
                    call,
                    format!("pads {pads:?} cut or fill the batch, which has no rule"),
                ));
            }
        }
    }
    if parts.is_empty() {
        return Ok(vec![(0, call.g().to_owned())]);
    }
    Ok(vec![(0, cut(r, call.g(), &parts))])
}

/// One index, or a run of neighbours, or a permutation.
fn gather(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let x = r.shape(call, call.input(0))?;
    let a = axis(call.node.int_or("axis", 0), x.len());
    let indices = r.integers(call, call.input(1))?;
    let Some(Dim::Fixed(length)) = x.get(a).copied() else {
        return Err(r.error(
            call,
            format!("it takes rows of the batch (axis {a} of {x:?}), which has no rule"),
        ));
    };
    let length = as_i64(length);
    let indices: Vec<i64> = indices.iter().map(|&i| if i < 0 { i + length } else { i }).collect();
    let scalar = r.constant_rank(call.input(1)) == Some(0);
    let first = indices.first().copied().unwrap_or(0);
    let neighbours = indices.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if neighbours && r.constant_rank(call.input(1)).is_some_and(|rank| rank <= 1) {
        let axes = r.editor.vector(&[as_i64(a)]);
        let g = if scalar { r.op("Unsqueeze", &[call.g(), &axes]) } else { call.g().to_owned() };
        let mut pads = vec![0; 2 * x.len()];
        pads[a] = first;
        pads[x.len() + a] = length - first - as_i64(indices.len());
        return Ok(vec![(0, padded(r, &g, &pads))]);
    }
    let inverse: Option<Vec<i64>> =
        (0..length).map(|i| indices.iter().position(|&k| k == i).map(as_i64)).collect();
    match inverse {
        Some(inverse) if as_i64(indices.len()) == length => {
            let inverse = r.editor.vector(&inverse);
            Ok(vec![(0, r.op_with("Gather", &[call.g(), &inverse], vec![int("axis", as_i64(a))]))])
        }
        _ => Err(r.error(
            call,
            format!(
                "indices {indices:?} are neither one, nor neighbours, nor a permutation: no rule"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use crate::edit::{int, text};
    use crate::rules::testing::{check, refused};
    use crate::tensor::TensorData;
    use crate::testing::GraphUnderTest;

    /// `y = part of x`, squared so that the gradient is not constant.
    fn squared(g: GraphUnderTest) -> GraphUnderTest {
        g.node("Mul", &["a", "a"], &["y"], vec![])
    }

    fn slice(starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> GraphUnderTest {
        let g = GraphUnderTest::new(&[4, 5]).ints("s", starts).ints("e", ends).ints("k", axes);
        squared(g.ints("t", steps).node("Slice", &["x", "s", "e", "k", "t"], &["a"], vec![]))
    }

    #[test]
    fn slices() {
        check(slice(&[1], &[3], &[1], &[1]));
        check(slice(&[-3, 0], &[i64::MAX, -1], &[-1, 1], &[1, 1]));
        check(slice(&[0, 1], &[i64::MAX, 3], &[0, 2], &[1, 1]));
    }

    #[test]
    fn slices_with_steps() {
        check(slice(&[0], &[i64::MAX], &[2], &[2]));
        check(slice(&[1, 1], &[i64::MAX, i64::MAX], &[1, 2], &[2, 3]));
        let text = refused(slice(&[-1], &[i64::MIN], &[1], &[-1]));
        assert!(text.contains("backward steps have no rule"), "{text}");
    }

    #[test]
    fn parts_of_the_batch_are_refused() {
        let text = refused(slice(&[1], &[2], &[0], &[1]));
        assert!(
            text.contains("node Slice_0 (Slice)") && text.contains("parts of the batch"),
            "{text}"
        );
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

    #[test]
    fn padding() {
        let g = |opset| GraphUnderTest::new(&[3, 4]).opset(opset);
        let pads = g(17).ints("p", &[0, 1, 0, 0, 0, 2]);
        check(squared(pads.node("Pad", &["x", "p"], &["a"], vec![])));
        let pads = g(18).ints("p", &[1, 2]).floats("v", &[], &[0.5]).ints("k", &[-1]);
        check(squared(pads.node("Pad", &["x", "p", "v", "k"], &["a"], vec![])));
        let pads = g(17).ints("p", &[0, 1, 1, 0, 0, 1]);
        let text =
            refused(squared(pads.node("Pad", &["x", "p"], &["a"], vec![text("mode", "reflect")])));
        assert!(text.contains("mode reflect has no rule"), "{text}");
    }

    #[test]
    fn gathers() {
        let scalar = GraphUnderTest::new(&[3, 4]).weight("i", &[], TensorData::I64(vec![-2]));
        check(squared(scalar.node("Gather", &["x", "i"], &["a"], vec![int("axis", 1)])));
        for indices in [&[1i64, 2][..], &[2, 0, 3, 1]] {
            let g = GraphUnderTest::new(&[3, 4]).ints("i", indices);
            check(squared(g.node("Gather", &["x", "i"], &["a"], vec![int("axis", 2)])));
        }
        let g = GraphUnderTest::new(&[3, 4]).ints("i", &[0, 2]);
        let text = refused(squared(g.node("Gather", &["x", "i"], &["a"], vec![int("axis", 2)])));
        assert!(text.contains("indices [0, 2] are neither"), "{text}");
    }
}
