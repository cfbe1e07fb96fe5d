//! Axes of products, convolutions, pools, resizes and reductions.

use std::collections::HashMap;

use super::decide::{Decided, Undecided, equal, known, meet, together};
use super::expr::{Axes, Expr};
use super::seen::Seen;
use crate::dim::axis;

/// `None` for operators of other modules.
pub(super) fn outputs(seen: &Seen<'_>) -> Option<Decided<Vec<Axes>>> {
    let one: fn(&Seen<'_>) -> Decided<Axes> = match seen.node.op_type.as_str() {
        "MatMul" => matmul,
        "Gemm" => gemm,
        "Einsum" => einsum,
        "Conv" => conv,
        "ConvTranspose" => conv_transpose,
        "AveragePool" | "MaxPool" | "LpPool" => pool,
        "GlobalAveragePool" | "GlobalMaxPool" => global_pool,
        "Resize" => resize,
        "Attention" => attention,
        "ArgMax" | "ArgMin" => arg_extremum,
        op if op.starts_with("Reduce") => reduce,
        _ => return None,
    };
    Some(match seen.node.output.iter().filter(|o| !o.is_empty()).count() {
        1 => one(seen).map(|axes| vec![axes]),
        _ => Err(Undecided::Open),
    })
}

fn matmul(seen: &Seen<'_>) -> Decided<Axes> {
    let (a, b) = (seen.input(0)?, seen.input(1)?);
    let ([left @ .., m, k], [right @ .., l, n]) = (&a[..], &b[..]) else {
        return Err(Undecided::Open);
    };
    equal(*k, *l)?;
    let mut axes = together(left, right)?;
    axes.extend([*m, *n]);
    Ok(axes)
}

fn gemm(seen: &Seen<'_>) -> Decided<Axes> {
    let turned = |index: usize, name: &str| match seen.input(index)?[..] {
        [a, b] if seen.node.int_or(name, 0) == 0 => Ok([a, b]),
        [a, b] => Ok([b, a]),
        _ => Err(Undecided::Open),
    };
    let ([m, k], [l, n]) = (turned(0, "transA")?, turned(1, "transB")?);
    equal(k, l)?;
    Ok(vec![m, n])
}

fn einsum(seen: &Seen<'_>) -> Decided<Axes> {
    let equation: String = seen.node.text_or("equation", "").split_whitespace().collect();
    let (inputs, output) = known(equation.split_once("->"))?;
    let mut lengths: HashMap<char, Expr> = HashMap::new();
    for (index, letters) in inputs.split(',').enumerate() {
        let axes = seen.input(index)?;
        if letters.chars().count() != axes.len() || letters.contains('.') {
            return Err(Undecided::Open);
        }
        for (c, &length) in letters.chars().zip(axes) {
            let slot = lengths.entry(c).or_insert(length);
            *slot = meet(*slot, length)?;
        }
    }
    output.chars().map(|c| known(lengths.get(&c).copied())).collect()
}

/// Geometry of a window over `n` spatial axes.
struct Window {
    kernel: Vec<f64>,
    strides: Vec<f64>,
    dilations: Vec<f64>,
    pads: Vec<f64>,
}

impl Window {
    fn of(seen: &Seen<'_>, kernel: Vec<f64>) -> Decided<Self> {
        let n = kernel.len();
        let list = |name: &str, default: i64, count: usize| {
            let values =
                seen.node.ints_of(name).map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let values: Vec<f64> = values.into_iter().map(|v| v as f64).collect();
            known((values.len() == count).then_some(values))
        };
        let plain = matches!(seen.node.text_or("auto_pad", "NOTSET"), "NOTSET" | "VALID");
        if !plain
            || seen.node.int_or("ceil_mode", 0) != 0
            || seen.node.find("output_shape").is_some()
        {
            return Err(Undecided::Open);
        }
        let (strides, dilations) = (list("strides", 1, n)?, list("dilations", 1, n)?);
        Ok(Self { kernel, strides, dilations, pads: list("pads", 0, 2 * n)? })
    }

    fn reach(&self, k: usize) -> f64 {
        self.dilations[k] * (self.kernel[k] - 1.0) + 1.0
    }

    /// Places of the window on axis `k`.
    fn places(&self, k: usize, length: Expr) -> Decided<Expr> {
        let padded = known(length.constant())? + self.pads[k] + self.pads[k + self.kernel.len()];
        let places = ((padded - self.reach(k)) / self.strides[k]).floor() + 1.0;
        if places >= 1.0 { Ok(Expr::fixed(places)) } else { Err(Undecided::Open) }
    }
}

/// Lengths of the kernel from the weights `[out, in, ..]`.
fn kernel(weight: &Axes) -> Decided<Vec<f64>> {
    known(weight.get(2..))?.iter().map(|e| known(e.constant())).collect()
}

fn conv(seen: &Seen<'_>) -> Decided<Axes> {
    let (x, weight) = (seen.input(0)?, seen.input(1)?);
    let window = Window::of(seen, kernel(weight)?)?;
    let groups = Expr::fixed(seen.node.int_or("group", 1) as f64);
    if x.len() != weight.len() || weight[1].times(groups) != Some(x[1]) {
        return Err(Undecided::Open);
    }
    let mut out = vec![x[0], weight[0]];
    for (k, &length) in x[2..].iter().enumerate() {
        out.push(window.places(k, length)?);
    }
    Ok(out)
}

fn conv_transpose(seen: &Seen<'_>) -> Decided<Axes> {
    let (x, weight) = (seen.input(0)?, seen.input(1)?);
    let window = Window::of(seen, kernel(weight)?)?;
    if x.len() != weight.len() || weight[0] != x[1] {
        return Err(Undecided::Open);
    }
    let groups = Expr::fixed(seen.node.int_or("group", 1) as f64);
    let mut out = vec![x[0], known(weight[1].times(groups))?];
    let n = window.kernel.len();
    for (k, length) in x[2..].iter().enumerate() {
        let added =
            seen.node.ints_of("output_padding").and_then(|p| p.get(k)).copied().unwrap_or(0);
        let spread = (known(length.constant())? - 1.0) * window.strides[k];
        let cut = window.pads[k] + window.pads[k + n];
        out.push(Expr::fixed(spread + added as f64 + window.reach(k) - cut));
    }
    Ok(out)
}

fn pool(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let kernel = known(seen.node.ints_of("kernel_shape"))?;
    let window = Window::of(seen, kernel.iter().map(|&k| k as f64).collect())?;
    if x.len() != kernel.len() + 2 {
        return Err(Undecided::Open);
    }
    let mut out = x[..2].to_vec();
    for (k, &length) in x[2..].iter().enumerate() {
        out.push(window.places(k, length)?);
    }
    Ok(out)
}

fn global_pool(seen: &Seen<'_>) -> Decided<Axes> {
    let mut axes = seen.input(0)?.clone();
    axes.iter_mut().skip(2).for_each(|e| *e = Expr::length(1));
    Ok(axes)
}

fn resize(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    if seen.node.text_or("keep_aspect_ratio_policy", "stretch") != "stretch" {
        return Err(Undecided::Open);
    }
    let all: Vec<i64> = (0..x.len()).filter_map(|k| i64::try_from(k).ok()).collect();
    let axes = seen.node.ints_of("axes").unwrap_or(&all);
    let is_sized = seen.node.input_at(3).is_some();
    let numbers = seen.numbers(if is_sized { 3 } else { 2 })?;
    if numbers.len() != axes.len() {
        return Err(Undecided::Open);
    }
    let mut out = x.clone();
    for (&a, &number) in axes.iter().zip(&numbers) {
        let length = known(out.get_mut(axis(a, x.len())))?;
        if is_sized {
            *length = number;
        } else if !number.is(1.0) {
            #[expect(clippy::cast_possible_truncation, reason = "the runtime multiplies in f32")]
            let scaled = known(length.constant())? as f32 * known(number.constant())? as f32;
            *length = Expr::fixed(f64::from(scaled.floor()));
        }
    }
    Ok(out)
}

/// `[b, heads, queries, width]`, or `[b, queries, heads * width]`.
fn attention(seen: &Seen<'_>) -> Decided<Axes> {
    let (q, k, v) = (seen.input(0)?, seen.input(1)?, seen.input(2)?);
    let heads = |name: &str| Expr::fixed(seen.node.int_or(name, 0) as f64);
    match (&q[..], &k[..], &v[..]) {
        (&[b, heads, length, _], &[_, _, _, _], &[_, _, _, width]) => {
            Ok(vec![b, heads, length, width])
        }
        (&[b, length, _], &[_, _, _], &[_, _, all]) => {
            let width = known(all.whole_over(heads("kv_num_heads")))?;
            Ok(vec![b, length, known(width.times(heads("q_num_heads")))?])
        }
        _ => Err(Undecided::Open),
    }
}

fn arg_extremum(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let along = axis(seen.node.int_or("axis", 0), x.len());
    reduced(x, &[along], seen.node.int_or("keepdims", 1) == 1)
}

fn reduce(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let listed = match seen.node.input_at(1) {
        Some(_) => seen.constants(1)?,
        None => seen.node.ints_of("axes").unwrap_or_default().to_vec(),
    };
    if listed.is_empty() && seen.node.int_or("noop_with_empty_axes", 0) == 1 {
        return Ok(x.clone());
    }
    let axes: Vec<usize> = if listed.is_empty() {
        (0..x.len()).collect()
    } else {
        listed.iter().map(|&a| axis(a, x.len())).collect()
    };
    reduced(x, &axes, seen.node.int_or("keepdims", 1) == 1)
}

fn reduced(x: &Axes, axes: &[usize], keep: bool) -> Decided<Axes> {
    if axes.iter().any(|&a| a >= x.len()) {
        return Err(Undecided::Open);
    }
    let length = |(k, &e): (usize, &Expr)| match (axes.contains(&k), keep) {
        (false, _) => Some(e),
        (true, true) => Some(Expr::length(1)),
        (true, false) => None,
    };
    Ok(x.iter().enumerate().filter_map(length).collect())
}
