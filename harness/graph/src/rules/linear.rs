//! Matrix products.

use super::super::dim::Dim;
use super::super::edit::{float, int, ints};
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::{Rule, as_i64};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "MatMul" => Some(matmul),
        "Gemm" => Some(gemm),
        _ => None,
    }
}

/// `Y = A B`: `G B^T` and `A^T G`, summed over the axes along which a matrix was repeated.
fn matmul(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (a, b) = (r.shape(call, call.input(0))?, r.shape(call, call.input(1))?);
    if a.len() < 2 || b.len() < 2 {
        return Err(r.error(call, "a product with a vector has no rule: export matrices"));
    }
    let y = r.shape(call, call.y())?;
    let mut out = Vec::new();
    if r.is_active(call.input(0)) {
        let transposed = transposed(r, call.input(1), b.len());
        let g = r.op("MatMul", &[call.g(), &transposed]);
        out.push((0, r.unbroadcast(call, g, &with_last(&y, &a), call.input(0))?));
    }
    if r.is_active(call.input(1)) {
        let transposed = transposed(r, call.input(0), a.len());
        let g = r.op("MatMul", &[&transposed, call.g()]);
        out.push((1, r.unbroadcast(call, g, &with_last(&y, &b), call.input(1))?));
    }
    Ok(out)
}

/// Last two axes swapped.
fn transposed(r: &mut Reverse, name: &str, rank: usize) -> String {
    let mut perm: Vec<i64> = (0..rank).map(as_i64).collect();
    perm.swap(rank - 2, rank - 1);
    r.op_with("Transpose", &[name], vec![ints("perm", &perm)])
}

/// Batch axes of a product with the matrix axes of one factor.
fn with_last(product: &[Dim], factor: &[Dim]) -> Vec<Dim> {
    let batch = product.get(..product.len().saturating_sub(2)).unwrap_or_default();
    batch.iter().chain(&factor[factor.len() - 2..]).copied().collect()
}

/// `Y = alpha A' B' + beta C` with `A'`, `B'` possibly transposed.
fn gemm(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (a, b, g) = (call.input(0), call.input(1), call.g());
    let (ta, tb) = (call.node.int_or("transA", 0), call.node.int_or("transB", 0));
    let alpha = call.node.float_or("alpha", 1.0);
    let options =
        |left, right| vec![float("alpha", alpha), int("transA", left), int("transB", right)];
    let mut out = Vec::new();
    if r.is_active(a) {
        let gradient = match ta {
            0 => r.op_with("Gemm", &[g, b], options(0, 1 - tb)),
            _ => r.op_with("Gemm", &[b, g], options(tb, 1)),
        };
        out.push((0, gradient));
    }
    if r.is_active(b) {
        let gradient = match tb {
            0 => r.op_with("Gemm", &[a, g], options(1 - ta, 0)),
            _ => r.op_with("Gemm", &[g, a], options(1, ta)),
        };
        out.push((1, gradient));
    }
    if call.node.input_at(2).is_some_and(|c| r.is_active(c)) {
        let scaled = r.scaled(g, call.node.float_or("beta", 1.0));
        let from = r.shape(call, call.y())?;
        out.push((2, r.unbroadcast(call, scaled, &from, call.input(2))?));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use crate::edit::{float, int, ints};
    use crate::rules::testing::check;
    use crate::testing::GraphUnderTest;

    #[test]
    fn products_with_weights() {
        let g = GraphUnderTest::new(&[3, 4]).random("w", &[4, 2]);
        check(g.node("MatMul", &["x", "w"], &["y"], vec![]));
        let g = GraphUnderTest::new(&[2, 3, 4]).random("w", &[2, 5, 3]);
        check(g.node("MatMul", &["w", "x"], &["y"], vec![]));
        let flat = GraphUnderTest::new(&[4]).random("w", &[4, 3]);
        check(flat.node("MatMul", &["x", "w"], &["y"], vec![]));
    }

    #[test]
    fn products_of_two_values() {
        let g = GraphUnderTest::new(&[2, 3, 4]);
        let g = g.node("Transpose", &["x"], &["t"], vec![ints("perm", &[0, 1, 3, 2])]);
        check(g.node("MatMul", &["x", "t"], &["y"], vec![]));
    }

    #[test]
    fn a_repeated_matrix_gets_the_sum() {
        // [batch, 1, 3, 4] times [batch, 2, 4, 3].
        let g =
            GraphUnderTest::new(&[2, 3, 4]).ints("zero", &[0]).ints("one", &[1]).ints("k", &[1]);
        let g = g.node("Slice", &["x", "zero", "one", "k"], &["a"], vec![]);
        let g = g.node("Transpose", &["x"], &["t"], vec![ints("perm", &[0, 1, 3, 2])]);
        check(g.node("MatMul", &["a", "t"], &["y"], vec![]));
    }

    #[test]
    fn gemm_in_all_orientations() {
        for tb in [0, 1] {
            let shape: &[usize] = if tb == 0 { &[4, 3] } else { &[3, 4] };
            let g = GraphUnderTest::new(&[4]).random("w", shape).random("c", &[3]);
            let options = vec![int("transB", tb), float("alpha", 0.7), float("beta", 1.3)];
            check(g.node("Gemm", &["x", "w", "c"], &["y"], options));
        }
        // x as second factor and as summand: x^T x + x would not keep the batch, so x x^T does not either.
        let g = GraphUnderTest::new(&[4]).random("w", &[4, 4]);
        check(g.node("Gemm", &["x", "w", "x"], &["y"], vec![float("beta", 2.0)]));
    }
}
