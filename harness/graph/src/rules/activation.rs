//! Functions of one value.

#![expect(clippy::unnecessary_wraps, reason = "all rules have one signature")]

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::Rule;

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Exp" => Some(exp),
        "Log" => Some(log),
        "Sqrt" => Some(sqrt),
        "Reciprocal" => Some(reciprocal),
        "Abs" => Some(abs),
        "Sin" => Some(sin),
        "Cos" => Some(cos),
        "Sigmoid" => Some(sigmoid),
        "Tanh" => Some(tanh),
        "Erf" => Some(erf),
        "Relu" => Some(relu),
        "LeakyRelu" => Some(leaky_relu),
        "Softplus" => Some(softplus),
        "Gelu" => Some(gelu),
        "Swish" => Some(swish),
        _ => None,
    }
}

/// `g` times the slope.
fn chain(r: &mut Reverse, call: &Call<'_>, slope: &str) -> Result<Gradients, GraphError> {
    Ok(vec![(0, r.mul(call.g(), slope))])
}

fn exp(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    chain(r, call, call.y())
}

fn log(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    Ok(vec![(0, r.op("Div", &[call.g(), call.input(0)]))])
}

/// `1 / (2 y)`.
fn sqrt(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let half = r.scaled(call.g(), 0.5);
    Ok(vec![(0, r.op("Div", &[&half, call.y()]))])
}

/// `-y^2`.
fn reciprocal(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let square = r.mul(call.y(), call.y());
    let slope = r.op("Neg", &[&square]);
    chain(r, call, &slope)
}

fn abs(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let sign = r.op("Sign", &[call.input(0)]);
    chain(r, call, &sign)
}

fn sin(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let cos = r.op("Cos", &[call.input(0)]);
    chain(r, call, &cos)
}

fn cos(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let sin = r.op("Sin", &[call.input(0)]);
    let slope = r.op("Neg", &[&sin]);
    chain(r, call, &slope)
}

/// `y (1 - y)`.
fn sigmoid(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let rest = r.one_minus(call.y());
    let slope = r.mul(call.y(), &rest);
    chain(r, call, &slope)
}

/// `1 - y^2`.
fn tanh(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let square = r.mul(call.y(), call.y());
    let slope = r.one_minus(&square);
    chain(r, call, &slope)
}

/// `2 / sqrt(pi) exp(-x^2)`.
fn erf(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let bell = bell(r, call.input(0), 1.0);
    let slope = r.scaled(&bell, FRAC_2_SQRT_PI);
    chain(r, call, &slope)
}

/// `exp(-c x^2)`.
fn bell(r: &mut Reverse, x: &str, c: f32) -> String {
    let square = r.mul(x, x);
    let exponent = r.scaled(&square, -c);
    r.op("Exp", &[&exponent])
}

/// `g` where `x > 0`; nothing at the corner, as autograd does it.
fn relu(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let zero = r.editor.scalar(0.0);
    let positive = r.op("Greater", &[call.input(0), &zero]);
    Ok(vec![(0, r.masked(&positive, call.g()))])
}

fn leaky_relu(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let zero = r.editor.scalar(0.0);
    let positive = r.op("Greater", &[call.input(0), &zero]);
    let leaked = r.scaled(call.g(), call.node.float_or("alpha", 0.01));
    Ok(vec![(0, r.op("Where", &[&positive, call.g(), &leaked]))])
}

fn softplus(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let slope = r.op("Sigmoid", &[call.input(0)]);
    chain(r, call, &slope)
}

/// `y = x Phi(x)`: `Phi(x) + x phi(x)`; or the slope of the tanh approximation.
fn gelu(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let slope = match call.node.text_or("approximate", "none") {
        "none" => gelu_slope(r, call.input(0)),
        "tanh" => gelu_tanh_slope(r, call.input(0)),
        other => return Err(r.error(call, format!("its approximation {other:?} is unknown"))),
    };
    chain(r, call, &slope)
}

/// `y = x s` with `s = sigmoid(alpha x)`: `s + alpha y (1 - s)`.
fn swish(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let alpha = call.node.float_or("alpha", 1.0);
    let scaled = r.scaled(call.input(0), alpha);
    let gate = r.op("Sigmoid", &[&scaled]);
    let rest = r.one_minus(&gate);
    let moved = r.mul(call.y(), &rest);
    let moved = r.scaled(&moved, alpha);
    let slope = r.op("Add", &[&gate, &moved]);
    chain(r, call, &slope)
}

fn gelu_slope(r: &mut Reverse, x: &str) -> String {
    let scaled = r.scaled(x, FRAC_1_SQRT_2);
    let erf = r.op("Erf", &[&scaled]);
    let half = r.scaled(&erf, 0.5);
    let phi = r.shifted(&half, 0.5);
    let bell = bell(r, x, 0.5);
    // 1 / sqrt(2 pi)
    let density = r.scaled(&bell, 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    let moved = r.mul(x, &density);
    r.op("Add", &[&phi, &moved])
}

/// With `u = a (x + b x^3)`, `a = sqrt(2 / pi)`, `b = 0.044715`:
/// `(1 + tanh u) / 2 + x (1 - tanh^2 u) a (1 + 3 b x^2) / 2`.
fn gelu_tanh_slope(r: &mut Reverse, x: &str) -> String {
    let (a, b) = (FRAC_2_SQRT_PI * FRAC_1_SQRT_2, 0.044_715);
    let square = r.mul(x, x);
    let scaled = r.scaled(&square, b);
    let factor = r.shifted(&scaled, 1.0);
    let cubic = r.mul(x, &factor);
    let u = r.scaled(&cubic, a);
    let tanh = r.op("Tanh", &[&u]);
    let half = r.scaled(&tanh, 0.5);
    let level = r.shifted(&half, 0.5);
    let tanh2 = r.mul(&tanh, &tanh);
    let rest = r.one_minus(&tanh2);
    let x_rest = r.mul(x, &rest);
    let inner = r.scaled(&square, 3.0 * b);
    let inner = r.shifted(&inner, 1.0);
    let inner = r.scaled(&inner, 0.5 * a);
    let moved = r.mul(&x_rest, &inner);
    r.op("Add", &[&level, &moved])
}

#[cfg(test)]
mod tests {
    use crate::edit::{float, text};
    use crate::rules::testing::check;
    use crate::testing::GraphUnderTest;

    fn unary(op: &str) -> GraphUnderTest {
        GraphUnderTest::new(&[3, 4]).node(op, &["x"], &["y"], vec![])
    }

    fn positive(op: &str) -> GraphUnderTest {
        let g = GraphUnderTest::new(&[3, 4]).floats("c", &[], &[2.5]);
        g.node("Add", &["x", "c"], &["p"], vec![]).node(op, &["p"], &["y"], vec![])
    }

    #[test]
    fn exponentials_and_roots() {
        check(unary("Exp"));
        check(positive("Log"));
        check(positive("Sqrt"));
        check(positive("Reciprocal"));
    }

    #[test]
    fn waves() {
        check(unary("Sin"));
        check(unary("Cos"));
    }

    #[test]
    fn sigmoids() {
        check(unary("Sigmoid"));
        check(unary("Tanh"));
        check(unary("Erf"));
        check(unary("Softplus"));
    }

    #[test]
    fn corners() {
        check(unary("Relu"));
        check(unary("Abs"));
        let leaky = GraphUnderTest::new(&[3, 4]);
        check(leaky.node("LeakyRelu", &["x"], &["y"], vec![float("alpha", 0.2)]));
    }

    #[test]
    fn silu_as_exporters_write_it() {
        let g = GraphUnderTest::new(&[3, 4]).node("Sigmoid", &["x"], &["s"], vec![]);
        check(g.node("Mul", &["x", "s"], &["y"], vec![]));
        // The gate is used once more: both ways must add up.
        let g = GraphUnderTest::new(&[3, 4]).node("Sigmoid", &["x"], &["s"], vec![]);
        let g = g.node("Mul", &["s", "x"], &["m"], vec![]);
        check(g.node("Mul", &["m", "s"], &["y"], vec![]));
    }

    #[test]
    fn swish() {
        let g = || GraphUnderTest::new(&[3, 4]).opset(24);
        check(g().node("Swish", &["x"], &["y"], vec![]));
        check(g().node("Swish", &["x"], &["y"], vec![float("alpha", 1.7)]));
    }

    #[test]
    fn gelu_exact_and_approximate() {
        for kind in ["none", "tanh"] {
            let g = GraphUnderTest::new(&[3, 4]).opset(20);
            check(g.node("Gelu", &["x"], &["y"], vec![text("approximate", kind)]));
        }
    }
}
