//! `Pad` and `Gather`: the gradient is cut out, or put back among zeros.

use super::super::dim::Dim;
use super::super::edit::int;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::{Rule, as_i64, axis};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Pad" => Some(pad),
        "Gather" => Some(gather),
        _ => None,
    }
}

/// Zeros around; negative counts cut.
pub(super) fn padded(r: &mut Reverse, g: &str, pads: &[i64]) -> String {
    if pads.iter().all(|&p| p == 0) {
        return g.to_owned();
    }
    let pads = r.editor.vector(pads);
    r.op("Pad", &[g, &pads])
}

/// Elements `start..end` of some axes.
pub(super) fn cut(r: &mut Reverse, g: &str, parts: &[(usize, i64, i64)]) -> String {
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
