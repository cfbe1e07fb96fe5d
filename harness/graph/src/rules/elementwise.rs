//! Arithmetic with broadcasting: a gradient is summed over the axes along which its input was repeated.

#![expect(clippy::unnecessary_wraps, reason = "all rules have one signature")]

use super::super::edit::int;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::super::tensor::ElementType;
use super::Rule;

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Add" | "Sum" => Some(add),
        "Sub" => Some(sub),
        "Mul" => Some(mul),
        "Div" => Some(div),
        "Neg" => Some(neg),
        "Pow" => Some(pow),
        "Where" => Some(select),
        "Clip" => Some(clip),
        "Min" | "Max" => Some(extremum),
        "Floor" | "Ceil" | "Round" | "Sign" => Some(nothing),
        _ => None,
    }
}

/// Gradient `g` of the shape of `y`, brought to the shape of input `index`.
fn to_input(
    r: &mut Reverse,
    call: &Call<'_>,
    index: usize,
    g: String,
) -> Result<(usize, String), GraphError> {
    let from = r.shape(call, call.y())?;
    Ok((index, r.unbroadcast(call, g, &from, call.input(index))?))
}

fn add(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    (0..call.node.input.len())
        .filter(|&k| r.is_active(call.input(k)))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|k| to_input(r, call, k, call.g().to_owned()))
        .collect()
}

fn sub(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let mut out = Vec::new();
    if r.is_active(call.input(0)) {
        out.push(to_input(r, call, 0, call.g().to_owned())?);
    }
    if r.is_active(call.input(1)) {
        let negative = r.op("Neg", &[call.g()]);
        out.push(to_input(r, call, 1, negative)?);
    }
    Ok(out)
}

/// `y = a b`: `g b` and `g a`.
fn mul(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let mut out = Vec::new();
    for (index, other) in [(0, 1), (1, 0)] {
        if r.is_sigmoid_of(call.input(other), call.input(index)) {
            return Ok(vec![(index, silu(r, call, call.input(other)))]);
        }
    }
    for (index, other) in [(0, 1), (1, 0)] {
        if r.is_active(call.input(index)) {
            let product = r.mul(call.g(), call.input(other));
            out.push(to_input(r, call, index, product)?);
        }
    }
    Ok(out)
}

/// `y = x s` with `s = sigmoid(x)`: `g (s + y (1 - s))`, all of it for `x`: two operations fewer than
/// by way of the sigmoid.
fn silu(r: &mut Reverse, call: &Call<'_>, gate: &str) -> String {
    let rest = r.one_minus(gate);
    let moved = r.mul(call.y(), &rest);
    let slope = r.op("Add", &[gate, &moved]);
    r.mul(call.g(), &slope)
}

/// `y = a / b`: `g / b` and `-(g / b) y`.
fn div(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let mut out = Vec::new();
    let quotient = r.op("Div", &[call.g(), call.input(1)]);
    if r.is_active(call.input(1)) {
        let product = r.mul(&quotient, call.y());
        let negative = r.op("Neg", &[&product]);
        out.push(to_input(r, call, 1, negative)?);
    }
    if r.is_active(call.input(0)) {
        out.push(to_input(r, call, 0, quotient)?);
    }
    Ok(out)
}

fn neg(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    Ok(vec![(0, r.op("Neg", &[call.g()]))])
}

/// `y = a^b` for `b` that does not depend on `x`: `g b a^(b-1)`.
fn pow(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (a, b) = (call.input(0), call.input(1));
    if r.is_active(b) {
        return Err(r.error(
            call,
            "its exponent depends on the input: only constant exponents have a rule",
        ));
    }
    let exponent = r.weight(b)?.filter(|t| t.data().len() == 1);
    let value = exponent.and_then(|t| t.to_f64().or_else(|| Some(vec![t.to_i64()?[0] as f64])));
    let slope = if let Some([2.0]) = value.as_deref() {
        r.scaled(a, 2.0)
    } else {
        let b = r.op_with("Cast", &[b], vec![int("to", i64::from(ElementType::F32.to_onnx()))]);
        let lower = r.shifted(&b, -1.0);
        let power = r.op("Pow", &[a, &lower]);
        r.mul(&b, &power)
    };
    let g = r.mul(call.g(), &slope);
    Ok(vec![to_input(r, call, 0, g)?])
}

/// `y = c ? a : b`.
fn select(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let mut out = Vec::new();
    if r.is_active(call.input(1)) {
        let g = r.masked(call.input(0), call.g());
        out.push(to_input(r, call, 1, g)?);
    }
    if r.is_active(call.input(2)) {
        let not = r.op("Not", &[call.input(0)]);
        let g = r.masked(&not, call.g());
        out.push(to_input(r, call, 2, g)?);
    }
    Ok(out)
}

/// `g` where `low <= x <= high`, bounds included as autograd does it.
fn clip(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    if call.node.input.iter().skip(1).any(|bound| r.is_active(bound)) {
        return Err(
            r.error(call, "its bounds depend on the input: only constant bounds have a rule")
        );
    }
    let mut g = call.g().to_owned();
    for (index, test) in [(1, "GreaterOrEqual"), (2, "LessOrEqual")] {
        if let Some(bound) = call.node.input_at(index) {
            let inside = r.op(test, &[call.input(0), bound]);
            g = r.masked(&inside, &g);
        }
    }
    Ok(vec![(0, g)])
}

/// Two inputs; where they are equal the first takes the gradient.
fn extremum(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    if call.node.input.len() != 2 {
        return Err(
            r.error(call, format!("it has {} inputs, the rule is for two", call.node.input.len()))
        );
    }
    let test = if call.node.op_type == "Max" { "GreaterOrEqual" } else { "LessOrEqual" };
    let first = r.op(test, &[call.input(0), call.input(1)]);
    let mut out = Vec::new();
    if r.is_active(call.input(0)) {
        let g = r.masked(&first, call.g());
        out.push(to_input(r, call, 0, g)?);
    }
    if r.is_active(call.input(1)) {
        let second = r.op("Not", &[&first]);
        let g = r.masked(&second, call.g());
        out.push(to_input(r, call, 1, g)?);
    }
    Ok(out)
}

/// Steps: the gradient is zero almost everywhere.
fn nothing(_: &mut Reverse, _: &Call<'_>) -> Result<Gradients, GraphError> {
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{check, refused};
    use crate::tensor::TensorData;
    use crate::testing::GraphUnderTest;

    fn graph() -> GraphUnderTest {
        GraphUnderTest::new(&[3, 4])
    }

    #[test]
    fn sums_and_differences() {
        check(graph().random("w", &[3, 1]).node("Add", &["x", "w"], &["y"], vec![]));
        check(graph().node("Add", &["x", "x"], &["y"], vec![]));
        check(graph().random("w", &[4]).node("Sub", &["w", "x"], &["y"], vec![]));
        check(graph().random("w", &[4]).node("Sum", &["x", "w", "x"], &["y"], vec![]));
        check(graph().node("Neg", &["x"], &["y"], vec![]));
    }

    #[test]
    fn products_and_quotients() {
        check(graph().node("Mul", &["x", "x"], &["y"], vec![]));
        check(graph().random("w", &[1, 3, 1]).node("Mul", &["w", "x"], &["y"], vec![]));
        check(graph().floats("w", &[], &[1.7]).node("Div", &["x", "w"], &["y"], vec![]));
        let positive = graph().floats("c", &[], &[3.0]).node("Add", &["x", "c"], &["p"], vec![]);
        check(positive.random("w", &[3, 4]).node("Div", &["w", "p"], &["y"], vec![]));
    }

    #[test]
    fn repeated_inputs_get_the_sum_of_their_gradients() {
        // row: [batch, 1, 4], added to and multiplied with [batch, 3, 4].
        let g = GraphUnderTest::new(&[3, 4])
            .ints("zero", &[0])
            .ints("one", &[1])
            .ints("axis", &[1])
            .node("Slice", &["x", "zero", "one", "axis"], &["row"], vec![])
            .node("Mul", &["x", "row"], &["a"], vec![])
            .node("Add", &["row", "a"], &["y"], vec![]);
        check(g);
        let flat = GraphUnderTest::new(&[4]).random("w", &[2, 1, 4]).node(
            "Mul",
            &["x", "w"],
            &["y"],
            vec![],
        );
        check(flat);
    }

    #[test]
    fn powers() {
        let positive = || graph().floats("c", &[], &[2.0]).node("Add", &["x", "c"], &["p"], vec![]);
        check(graph().floats("two", &[], &[2.0]).node("Pow", &["x", "two"], &["y"], vec![]));
        check(positive().floats("e", &[], &[-0.5]).node("Pow", &["p", "e"], &["y"], vec![]));
        check(positive().ints("e", &[3]).node("Pow", &["p", "e"], &["y"], vec![]));
        let text = refused(positive().node("Pow", &["p", "x"], &["y"], vec![]));
        assert!(text.contains("node Pow_1 (Pow): its exponent depends"), "{text}");
    }

    #[test]
    fn choices() {
        let bools = TensorData::Bool((0..12).map(|i| i % 3 == 0).collect());
        let g = graph().weight("c", &[3, 4], bools).node("Mul", &["x", "x"], &["s"], vec![]);
        check(g.node("Where", &["c", "x", "s"], &["y"], vec![]));
        let g = graph().floats("low", &[], &[-0.5]).floats("high", &[], &[0.3]);
        check(g.node("Clip", &["x", "low", "high"], &["y"], vec![]));
        check(graph().floats("high", &[], &[0.3]).node("Clip", &["x", "", "high"], &["y"], vec![]));
        check(graph().floats("w", &[], &[0.3]).node("Max", &["x", "w"], &["y"], vec![]));
        check(graph().floats("w", &[1, 4], &[0.3; 4]).node("Min", &["w", "x"], &["y"], vec![]));
    }

    #[test]
    fn steps_have_no_gradient() {
        let g = graph().floats("w", &[], &[0.3]).node("Sub", &["x", "w"], &["d"], vec![]);
        let g = g.node("Sign", &["d"], &["s"], vec![]);
        check(g.node("Mul", &["x", "s"], &["y"], vec![]));
        let text = refused(graph().node("Floor", &["x"], &["y"], vec![]));
        assert!(text.contains("output y does not depend on input x"), "{text}");
    }

    #[test]
    fn unknown_operators_are_refused_by_name() {
        let text = refused(
            graph()
                .node("Mul", &["x", "x"], &["a"], vec![])
                .node("CumSum", &["a", "axis"], &["y"], vec![])
                .ints("axis", &[1]),
        );
        assert!(
            text.contains("node CumSum_1 (CumSum): there is no gradient rule for it"),
            "{text}"
        );
    }
}
