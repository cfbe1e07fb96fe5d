//! Known values that are cut, joined, laid out anew, or made from shapes.

use super::expr::Expr;
use super::seen::Seen;
use super::value::{Value, count};
use crate::dim::axis;

/// The elements of each output that are known.
pub(super) fn evaluate(seen: &Seen<'_>) -> Vec<Option<Value>> {
    let n = seen.node.output.len();
    if seen.node.op_type == "Split" {
        return split(seen).unwrap_or_else(|| vec![None; n]);
    }
    let mut out = vec![None; n];
    if let Some(first) = out.first_mut() {
        *first = first_output(seen);
    }
    out
}

fn first_output(seen: &Seen<'_>) -> Option<Value> {
    match seen.node.op_type.as_str() {
        "Shape" => shape(seen),
        "Size" => size(seen),
        "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" => {
            seen.value(0)?.with_shape(seen.shape(0)?)
        }
        "Concat" => concat(seen),
        "Gather" => gather(seen),
        "Slice" => slice(seen),
        "Transpose" => transpose(seen),
        "Expand" => expand(seen),
        "ConstantOfShape" => constant_of_shape(seen),
        "Range" => range(seen),
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" => reduce(seen),
        _ => None,
    }
}

fn shape(seen: &Seen<'_>) -> Option<Value> {
    let axes = seen.axes.first().copied().flatten()?;
    let rank = i64::try_from(axes.len()).ok()?;
    let place = |name: &str, default: i64| {
        let at = seen.node.int_or(name, default);
        usize::try_from((if at < 0 { at + rank } else { at }).clamp(0, rank)).ok()
    };
    Some(Value::vector(axes.get(place("start", 0)?..place("end", rank)?)?.to_vec()))
}

fn size(seen: &Seen<'_>) -> Option<Value> {
    let axes = seen.axes.first().copied().flatten()?;
    let size = axes.iter().try_fold(Expr::length(1), |n, &e| n.times(e))?;
    Value::new(Vec::new(), vec![Some(size)])
}

fn concat(seen: &Seen<'_>) -> Option<Value> {
    let shape = seen.shape(0)?;
    let along = axis(seen.node.int_or("axis", 0), shape.len());
    let parts: Option<Vec<&Value>> = (0..seen.node.input.len()).map(|k| seen.value(k)).collect();
    let parts = parts?;
    let outer: usize = shape.get(..along)?.iter().product();
    let mut elements = Vec::new();
    for k in 0..outer {
        for part in &parts {
            let run = part.elements.len() / outer;
            elements.extend_from_slice(part.elements.get(k * run..(k + 1) * run)?);
        }
    }
    Value::new(shape, elements)
}

fn gather(seen: &Seen<'_>) -> Option<Value> {
    let (data, indices) = (seen.value(0)?, seen.value(1)?);
    let along = axis(seen.node.int_or("axis", 0), data.shape.len());
    let length = i64::try_from(*data.shape.get(along)?).ok()?;
    let chosen: Option<Vec<usize>> = indices
        .integers()?
        .into_iter()
        .map(|i| usize::try_from(if i < 0 { i + length } else { i }).ok())
        .collect();
    let (chosen, rank) = (chosen?, indices.shape.len());
    data.picked(seen.shape(0)?, |at| {
        let within = at.get(along..along + rank)?;
        let k = within.iter().zip(&indices.shape).fold(0, |k, (&i, &n)| k * n + i);
        let mut from = at[..along].to_vec();
        from.push(*chosen.get(k)?);
        from.extend_from_slice(&at[along + rank..]);
        Some(from)
    })
}

fn slice(seen: &Seen<'_>) -> Option<Value> {
    let data = seen.value(0)?;
    let starts = seen.integers(1)?;
    let axes = match seen.node.input_at(3) {
        Some(_) => seen.integers(3)?,
        None => (0..starts.len()).map(|k| i64::try_from(k).unwrap_or(i64::MAX)).collect(),
    };
    let steps = match seen.node.input_at(4) {
        Some(_) => seen.integers(4)?,
        None => vec![1; starts.len()],
    };
    let mut moves = vec![(0, 1); data.shape.len()];
    for ((&start, &a), &step) in starts.iter().zip(&axes).zip(&steps) {
        let a = axis(a, data.shape.len());
        let length = i64::try_from(*data.shape.get(a)?).ok()?;
        let last = if step < 0 { length - 1 } else { length };
        let start = if start < 0 { start.saturating_add(length) } else { start }.clamp(0, last);
        *moves.get_mut(a)? = (start, step);
    }
    data.picked(seen.shape(0)?, |at| {
        let from = |(&i, &(start, step)): (&usize, &(i64, i64))| {
            usize::try_from(start + step * i64::try_from(i).ok()?).ok()
        };
        at.iter().zip(&moves).map(from).collect()
    })
}

fn split(seen: &Seen<'_>) -> Option<Vec<Option<Value>>> {
    let data = seen.value(0)?;
    let along = axis(seen.node.int_or("axis", 0), data.shape.len());
    let mut start = 0;
    let mut out = Vec::new();
    for k in 0..seen.node.output.len() {
        let shape = seen.shape(k)?;
        let taken = *shape.get(along)?;
        out.push(data.picked(shape, |at| {
            let mut from = at.to_vec();
            *from.get_mut(along)? += start;
            Some(from)
        }));
        start += taken;
    }
    Some(out)
}

fn transpose(seen: &Seen<'_>) -> Option<Value> {
    let data = seen.value(0)?;
    let rank = data.shape.len();
    let reversed: Vec<i64> = (0..rank).rev().filter_map(|k| i64::try_from(k).ok()).collect();
    let perm = seen.node.ints_of("perm").unwrap_or(&reversed);
    data.picked(seen.shape(0)?, |at| {
        let mut from = vec![0; rank];
        for (&p, &i) in perm.iter().zip(at) {
            *from.get_mut(usize::try_from(p).ok()?)? = i;
        }
        Some(from)
    })
}

fn expand(seen: &Seen<'_>) -> Option<Value> {
    let shape = seen.shape(0)?;
    let nothing = Value::new(shape.clone(), vec![Some(Expr::fixed(0.0)); count(&shape)?])?;
    Value::broadcast(&[seen.value(0)?, &nothing], |e| Some(e[0]))
}

fn constant_of_shape(seen: &Seen<'_>) -> Option<Value> {
    let shape = seen.shape(0)?;
    let fill = match seen.node.find("value").and_then(|a| a.t.as_ref()) {
        Some(tensor) => {
            let tensor = crate::tensor::Tensor::from_inline_proto(tensor).ok()?;
            *Value::of(&tensor)?.elements.first()?
        }
        None => Some(Expr::fixed(0.0)),
    };
    Value::new(shape.clone(), vec![fill; count(&shape)?])
}

fn range(seen: &Seen<'_>) -> Option<Value> {
    let [n] = seen.shape(0)?[..] else { return None };
    let first = seen.value(0)?.known()?.first()?.constant()?;
    let step = seen.value(2)?.known()?.first()?.constant()?;
    Some(Value::vector((0..n).map(|k| Expr::fixed(first + step * k as f64)).collect()))
}

/// Over all axes: what sizes are computed with.
fn reduce(seen: &Seen<'_>) -> Option<Value> {
    let data = seen.value(0)?;
    let shape = seen.shape(0)?;
    if count(&shape)? != 1 {
        return None;
    }
    let mut elements = data.known()?.into_iter();
    let first = elements.next()?;
    let total = elements.try_fold(first, |a, b| match seen.node.op_type.as_str() {
        "ReduceProd" => a.times(b),
        "ReduceSum" => Some(a.plus(b)),
        "ReduceMin" => a.at_most(b).map(|low| if low { a } else { b }),
        _ => a.at_most(b).map(|low| if low { b } else { a }),
    })?;
    Value::new(shape, vec![Some(total)])
}
