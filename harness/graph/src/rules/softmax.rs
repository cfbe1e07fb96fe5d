//! Softmax and its logarithm.

#![expect(clippy::unnecessary_wraps, reason = "all rules have one signature")]

use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::Rule;

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Softmax" => Some(softmax),
        "LogSoftmax" => Some(log_softmax),
        _ => None,
    }
}

/// `g y - y sum(g y)`.
fn softmax(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let product = r.mul(call.g(), call.y());
    let sum = r.sum_over(&product, &[call.node.int_or("axis", -1)]);
    let along = r.mul(call.y(), &sum);
    Ok(vec![(0, r.op("Sub", &[&product, &along]))])
}

/// `g - exp(y) sum(g)`.
fn log_softmax(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let sum = r.sum_over(call.g(), &[call.node.int_or("axis", -1)]);
    let softmax = r.op("Exp", &[call.y()]);
    let along = r.mul(&softmax, &sum);
    Ok(vec![(0, r.op("Sub", &[call.g(), &along]))])
}

#[cfg(test)]
mod tests {
    use crate::edit::int;
    use crate::rules::testing::check;
    use crate::testing::GraphUnderTest;

    #[test]
    fn softmax_over_the_last_and_another_axis() {
        check(GraphUnderTest::new(&[3, 4]).node("Softmax", &["x"], &["y"], vec![]));
        check(GraphUnderTest::new(&[3, 4]).node("Softmax", &["x"], &["y"], vec![int("axis", 1)]));
        check(GraphUnderTest::new(&[3, 4]).node(
            "LogSoftmax",
            &["x"],
            &["y"],
            vec![int("axis", -2)],
        ));
    }
}
