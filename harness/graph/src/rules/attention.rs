//! `Attention` of operator sets 23 and up: `Y = P V` with `P = softmax(scale Q K^T + mask)`.
//!
//! With `g` the gradient of `Y` and `dP = g V^T`:
//!
//! ```text
//! dV = P^T g     dS = P (dP - sum(P dP))     dQ = scale dS K     dK = scale dS^T Q
//! ```
//!
//! `P` is made once more: the node does not hand it on.

use super::super::edit::{int, ints};
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::Rule;

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Attention" => Some(attention),
        _ => None,
    }
}

fn attention(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    refuse_variants(r, call)?;
    refuse_short_mask(r, call)?;
    let [q, k, v] = [0, 1, 2].map(|index| Heads::of(r, call, index));
    let (q, k, v) = (q?, k?, v?);
    refuse_shared_heads(r, call, [&q, &k, &v])?;
    let width = (q.width as f32).sqrt();
    let scale = call.node.float_or("scale", 1.0 / width);
    let [queries, keys, values] =
        [(0, &q), (1, &k), (2, &v)].map(|(index, heads)| heads.apart(r, call.input(index)));
    let g = v.apart(r, call.g());
    let p = probabilities(r, call, (&queries, &keys), scale);
    let mut out = Vec::new();
    if r.is_active(call.input(2)) {
        let turned = turned(r, &p);
        let gradient = r.op("MatMul", &[&turned, &g]);
        out.push((2, v.together(r, call, &gradient, 2)?));
    }
    let turned_values = turned(r, &values);
    let dp = r.op("MatMul", &[&g, &turned_values]);
    let along = r.mul(&p, &dp);
    let sum = r.sum_over(&along, &[-1]);
    let rest = r.op("Sub", &[&dp, &sum]);
    let ds = r.mul(&p, &rest);
    let ds = r.scaled(&ds, scale);
    if r.is_active(call.input(0)) {
        let gradient = r.op("MatMul", &[&ds, &keys]);
        out.push((0, q.together(r, call, &gradient, 0)?));
    }
    if r.is_active(call.input(1)) {
        let turned = turned(r, &ds);
        let gradient = r.op("MatMul", &[&turned, &queries]);
        out.push((1, k.together(r, call, &gradient, 1)?));
    }
    Ok(out)
}

/// Causal masks, caches of keys, soft caps and masks that depend on `x` have no rule.
fn refuse_variants(r: &Reverse, call: &Call<'_>) -> Result<(), GraphError> {
    let node = call.node;
    let windowed =
        ["left_window_size", "right_window_size"].iter().any(|n| node.int_or(n, -1) >= 0);
    let what = if node.int_or("is_causal", 0) != 0 {
        "a causal mask"
    } else if node.float_or("softcap", 0.0) > 0.0 {
        "a soft cap"
    } else if windowed {
        "a window"
    } else if (4..node.input.len()).any(|k| node.input_at(k).is_some()) {
        "a cache of keys and values"
    } else if node.input_at(3).is_some_and(|mask| r.is_active(mask)) {
        "a mask that depends on the input"
    } else if call.grads.iter().skip(1).any(Option::is_some) {
        "a second output that is used"
    } else {
        return Ok(());
    };
    Err(r.error(call, format!("it has {what}, which has no rule: export plain attention")))
}

fn refuse_shared_heads(
    r: &Reverse,
    call: &Call<'_>,
    [q, k, v]: [&Heads; 3],
) -> Result<(), GraphError> {
    if q.count == k.count && k.count == v.count {
        return Ok(());
    }
    Err(r.error(
        call,
        format!(
            "{} heads of queries share {} of keys, which has no rule: export one each",
            q.count, k.count
        ),
    ))
}

/// From operator set 24 on, a mask may end before the keys do.
fn refuse_short_mask(r: &Reverse, call: &Call<'_>) -> Result<(), GraphError> {
    let Some(mask) = call.node.input_at(3) else { return Ok(()) };
    let (mask, keys) = (r.shape(call, mask)?, r.shape(call, call.input(1))?);
    let n_keys = keys.len().checked_sub(2).and_then(|axis| keys.get(axis));
    if mask.last() == n_keys {
        return Ok(());
    }
    Err(r.error(
        call,
        format!(
            "its mask has axes {mask:?}, which has no rule: expected {n_keys:?} keys on the last"
        ),
    ))
}

/// `softmax(scale Q K^T + mask)`.
fn probabilities(
    r: &mut Reverse,
    call: &Call<'_>,
    (queries, keys): (&str, &str),
    scale: f32,
) -> String {
    let turned = turned(r, keys);
    let scores = r.op("MatMul", &[queries, &turned]);
    let mut scores = r.scaled(&scores, scale);
    if let Some(mask) = call.node.input_at(3) {
        scores = if r.is_bool(mask) {
            let never = r.editor.scalar(f32::NEG_INFINITY);
            r.op("Where", &[mask, &scores, &never])
        } else {
            r.op("Add", &[&scores, mask])
        };
    }
    r.op_with("Softmax", &[&scores], vec![int("axis", -1)])
}

/// Last two of four axes swapped.
fn turned(r: &mut Reverse, value: &str) -> String {
    r.op_with("Transpose", &[value], vec![ints("perm", &[0, 1, 3, 2])])
}

/// How an operand holds its heads: `[b, heads, length, width]`, or `[b, length, heads * width]`.
struct Heads {
    count: i64,
    width: i64,
    is_flat: bool,
}

impl Heads {
    fn of(r: &Reverse, call: &Call<'_>, index: usize) -> Result<Self, GraphError> {
        let dims = r.fixed_behind_batch(call, call.input(index))?;
        let attribute = if index == 0 { "q_num_heads" } else { "kv_num_heads" };
        match dims[..] {
            [count, _, width] => Ok(Self { count, width, is_flat: false }),
            [_, all] => {
                let count = call.node.int_or(attribute, 0);
                if count <= 0 || all % count != 0 {
                    return Err(r.error(
                        call,
                        format!("{attribute} is {count}, expected a divisor of {all}"),
                    ));
                }
                Ok(Self { count, width: all / count, is_flat: true })
            }
            _ => Err(r.error(
                call,
                format!("operand {index} has {} axes, expected 3 or 4", dims.len() + 1),
            )),
        }
    }

    /// `[b, heads, length, width]`.
    fn apart(&self, r: &mut Reverse, value: &str) -> String {
        if !self.is_flat {
            return value.to_owned();
        }
        // 0 keeps batch and length.
        let split = r.reshaped(value, &[0, 0, self.count, self.width]);
        r.op_with("Transpose", &[&split], vec![ints("perm", &[0, 2, 1, 3])])
    }

    /// Back into the shape of operand `index`.
    fn together(
        &self,
        r: &mut Reverse,
        call: &Call<'_>,
        value: &str,
        index: usize,
    ) -> Result<String, GraphError> {
        if !self.is_flat {
            return Ok(value.to_owned());
        }
        let rows = r.op_with("Transpose", &[value], vec![ints("perm", &[0, 2, 1, 3])]);
        r.like(call, &rows, call.input(index))
    }
}

#[cfg(test)]
mod tests {
    use crate::edit::{float, int};
    use crate::rules::testing::{check, refused};
    use crate::tensor::TensorData;
    use crate::testing::GraphUnderTest;

    fn four_axes() -> GraphUnderTest {
        let g = GraphUnderTest::new(&[2, 3, 4]).opset(23);
        g.random("wk", &[4, 4])
            .random("wval", &[4, 5])
            .node("MatMul", &["x", "wk"], &["k"], vec![])
            .node("MatMul", &["x", "wval"], &["v"], vec![])
    }

    #[test]
    fn heads_on_an_axis_of_their_own() {
        check(four_axes().node("Attention", &["x", "k", "v"], &["y"], vec![]));
        let scale = vec![float("scale", 1.5)];
        check(four_axes().node("Attention", &["x", "k", "v"], &["y"], scale));
    }

    #[test]
    fn heads_inside_the_channels() {
        let g = GraphUnderTest::new(&[3, 4]).opset(23).random("w", &[4, 4]);
        let g = g.node("MatMul", &["x", "w"], &["k"], vec![]);
        let heads = vec![int("q_num_heads", 2), int("kv_num_heads", 2)];
        check(g.node("Attention", &["x", "k", "x"], &["y"], heads));
    }

    #[test]
    fn masks_of_both_kinds() {
        let g = four_axes().random("m", &[3, 3]);
        check(g.node("Attention", &["x", "k", "v", "m"], &["y"], vec![]));
        let keep = [true, false, true, true, true, false, false, true, true].to_vec();
        let g = four_axes().weight("m", &[3, 3], TensorData::Bool(keep));
        check(g.node("Attention", &["x", "k", "v", "m"], &["y"], vec![]));
    }

    #[test]
    fn other_kinds_are_refused_by_name() {
        let causal = vec![int("is_causal", 1)];
        let text = refused(four_axes().node("Attention", &["x", "k", "v"], &["y"], causal));
        assert!(text.contains("(Attention): it has a causal mask, which has no rule"), "{text}");
        let cap = vec![float("softcap", 2.0)];
        let text = refused(four_axes().node("Attention", &["x", "k", "v"], &["y"], cap));
        assert!(text.contains("a soft cap"), "{text}");
    }
}
