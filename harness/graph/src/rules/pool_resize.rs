//! Averages over windows and enlarging by nearest neighbours.

use super::super::dim::Dim;
use super::super::edit::{int, ints};
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse, length};
use super::conv::mean_kernel;
use super::{Rule, as_i64};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "AveragePool" => Some(average_pool),
        "GlobalAveragePool" => Some(global_average_pool),
        "Resize" => Some(resize),
        _ => None,
    }
}

/// Each window's gradient is shared equally: a transposed convolution of each channel by a mean.
fn average_pool(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (x, y) = (r.shape(call, call.input(0))?, r.shape(call, call.y())?);
    let kernel = call.node.ints_of("kernel_shape").unwrap_or_default().to_vec();
    let n = kernel.len();
    let list = |name: &str, default: i64, count: usize| {
        let values = call.node.ints_of(name).map(<[i64]>::to_vec);
        values.filter(|v| v.len() == count).unwrap_or_else(|| vec![default; count])
    };
    let (strides, pads) = (list("strides", 1, n), list("pads", 0, 2 * n));
    let plain = call.node.int_or("ceil_mode", 0) == 0
        && matches!(call.node.text_or("auto_pad", "NOTSET"), "NOTSET" | "VALID")
        && list("dilations", 1, n).iter().all(|&d| d == 1)
        && (pads.iter().all(|&p| p == 0) || call.node.int_or("count_include_pad", 0) == 1);
    let lengths: Option<Vec<[i64; 2]>> =
        x.iter().zip(&y).skip(1).map(|(&a, &b)| Some([length(a)?, length(b)?])).collect();
    let lengths = lengths.filter(|l| l.len() == n + 1);
    let (true, Some(lengths), Some(&Dim::Fixed(channels))) = (plain, lengths, x.get(1)) else {
        return Err(r.error(
            call,
            "rounding up, automatic or uncounted pads have no rule: export plain average pooling",
        ));
    };
    let Some(weight) = mean_kernel(channels, &kernel) else {
        return Err(r.error(call, format!("kernel {kernel:?} is not usable")));
    };
    let rest: Vec<i64> = lengths[1..]
        .iter()
        .enumerate()
        .map(|(i, [x, y])| x - ((y - 1) * strides[i] - pads[i] - pads[i + n] + kernel[i]))
        .collect();
    let weight = r.editor.constant(&weight);
    let attributes = vec![
        ints("kernel_shape", &kernel),
        ints("strides", &strides),
        ints("pads", &pads),
        ints("output_padding", &rest),
        int("group", as_i64(channels)),
    ];
    Ok(vec![(0, r.op_with("ConvTranspose", &[call.g(), &weight], attributes))])
}

fn global_average_pool(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let x = r.shape(call, call.input(0))?;
    let pixels: Option<i64> = x.iter().skip(2).map(|&d| length(d)).product();
    let Some(pixels) = pixels.filter(|&n| n > 0) else {
        return Err(
            r.error(call, format!("its input has axes {x:?}, expected fixed heights and widths"))
        );
    };
    let share = r.scaled(call.g(), 1.0 / pixels as f32);
    Ok(vec![(0, r.expanded(&share, call.input(0)))])
}

/// Enlarging by whole factors: the sum over each block of copies.
fn resize(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let (x, y) = (r.shape(call, call.input(0))?, r.shape(call, call.y())?);
    let factors: Option<Vec<i64>> = x.iter().zip(&y).map(|(&a, &b)| factor(a, b)).collect();
    let Some(factors) = factors.filter(|f| copies_blocks(call, f)) else {
        return Err(r.error(call, format!(
            "mode {} from {x:?} to {y:?} has no rule, only enlarging by whole factors with nearest neighbours has",
            call.node.text_or("mode", "nearest")
        )));
    };
    let (mut lengths, mut axes) = (Vec::new(), Vec::new());
    for (&dim, &factor) in x.iter().zip(&factors) {
        lengths.push(length(dim).unwrap_or(-1));
        if factor > 1 {
            axes.push(as_i64(lengths.len()));
            lengths.push(factor);
        }
    }
    if axes.is_empty() {
        return Ok(vec![(0, call.g().to_owned())]);
    }
    let blocks = r.reshaped(call.g(), &lengths);
    let axes = r.editor.vector(&axes);
    Ok(vec![(0, r.op_with("ReduceSum", &[&blocks, &axes], vec![int("keepdims", 0)]))])
}

fn factor(from: Dim, to: Dim) -> Option<i64> {
    if from == to {
        return Some(1);
    }
    let (from, to) = (length(from)?, length(to)?);
    (from > 0 && to % from == 0).then_some(to / from)
}

/// Whether pixel `i` of the result is pixel `i / factor` of the input.
fn copies_blocks(call: &Call<'_>, factors: &[i64]) -> bool {
    let rounding = call.node.text_or("nearest_mode", "round_prefer_floor");
    let position = call.node.text_or("coordinate_transformation_mode", "half_pixel");
    let by_position = match position {
        "asymmetric" => {
            rounding == "floor"
                || (rounding == "round_prefer_floor" && factors.iter().all(|&f| f <= 2))
        }
        "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric" => {
            rounding.starts_with("round_prefer")
        }
        _ => false,
    };
    call.node.text_or("mode", "nearest") == "nearest" && by_position
}

#[cfg(test)]
mod tests {
    use crate::edit::{int, ints, text};
    use crate::rules::testing::{check, refused};
    use crate::testing::GraphUnderTest;

    fn weighted(g: GraphUnderTest, shape: &[usize]) -> GraphUnderTest {
        g.random("w", shape).node("Mul", &["a", "w"], &["y"], vec![])
    }

    #[test]
    fn pools() {
        let halves = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        let g = GraphUnderTest::new(&[3, 4, 5]).node("AveragePool", &["x"], &["a"], halves);
        check(weighted(g, &[3, 2, 2]));
        let overlapping = vec![
            ints("kernel_shape", &[3, 3]),
            ints("pads", &[1, 1, 1, 1]),
            int("count_include_pad", 1),
        ];
        let g = GraphUnderTest::new(&[2, 4, 4]).node("AveragePool", &["x"], &["a"], overlapping);
        check(weighted(g, &[2, 4, 4]));
        let g = GraphUnderTest::new(&[2, 3, 4]).node("GlobalAveragePool", &["x"], &["a"], vec![]);
        check(weighted(g, &[2, 1, 1]));
        let g = GraphUnderTest::new(&[2, 4, 4]);
        let uncounted = vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])];
        assert!(
            refused(g.node("AveragePool", &["x"], &["y"], uncounted)).contains("uncounted pads")
        );
    }

    fn enlarged(position: &str, rounding: &str, factor: f32) -> GraphUnderTest {
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", position),
            text("nearest_mode", rounding),
        ];
        let scales = [1.0, 1.0, factor, factor];
        let g = GraphUnderTest::new(&[2, 3, 2]).floats("s", &[4], &scales);
        g.node("Resize", &["x", "", "s"], &["a"], attributes)
    }

    #[test]
    fn enlarging_by_nearest_neighbours() {
        check(weighted(enlarged("asymmetric", "floor", 2.0), &[2, 6, 4]));
        check(weighted(enlarged("asymmetric", "floor", 3.0), &[2, 9, 6]));
        check(weighted(enlarged("half_pixel", "round_prefer_floor", 3.0), &[2, 9, 6]));
        check(weighted(enlarged("asymmetric", "round_prefer_floor", 2.0), &[2, 6, 4]));
    }

    #[test]
    fn other_resizing_is_refused() {
        let g = enlarged("align_corners", "floor", 2.0);
        let message = refused(weighted(g, &[2, 6, 4]));
        assert!(message.contains("only enlarging by whole factors"), "{message}");
        let g = GraphUnderTest::new(&[2, 3, 2]).floats("s", &[4], &[1.0, 1.0, 2.0, 2.0]);
        let g = g.node("Resize", &["x", "", "s"], &["y"], vec![text("mode", "linear")]);
        assert!(refused(g).contains("mode linear"));
    }
}
