//! `Slice`: the gradient is put back among zeros.

use super::super::dim::Dim;
use super::super::edit::int;
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Position, Reverse, lengths};
use super::index::padded;
use super::{Rule, as_i64, axis};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Slice" => Some(slice),
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
    let mut g = padded(r, &g, &pads);
    for part in batch_parts(r, call)? {
        g = among_rows(r, call, &g, rank, &part);
    }
    Ok(vec![(0, g)])
}

/// Rows taken of a batch axis, in multiples of the batch size.
struct BatchPart {
    axis: usize,
    start: usize,
    taken: usize,
    length: usize,
}

/// The batch axes on which a slice starts at a multiple of the batch size, or ends before the end.
fn batch_parts(r: &Reverse, call: &Call<'_>) -> Result<Vec<BatchPart>, GraphError> {
    let (x, y) = (r.shape(call, call.input(0))?, r.shape(call, call.y())?);
    let (starts, axes) = starts(r, call)?;
    let part = |(&a, &start): (&i64, &Position)| {
        let axis = axis(a, x.len());
        let (Some(&Dim::Batch(length)), Some(&Dim::Batch(taken))) = (x.get(axis), y.get(axis))
        else {
            return None;
        };
        let start = match start {
            Position::Batch(n) => n,
            Position::Fixed(_) | Position::Other => 0,
        };
        (taken < length).then_some(BatchPart { axis, start, taken, length })
    };
    Ok(axes.iter().zip(&starts).filter_map(part).collect())
}

/// `g` among zeros for the rows that were not taken. The batch size is known at run time alone.
fn among_rows(r: &mut Reverse, call: &Call<'_>, g: &str, rank: usize, part: &BatchPart) -> String {
    let rest = part.length - part.start - part.taken;
    let sizes = r.times_batch(call.input(0), (part.axis, part.length), &[part.start, rest]);
    let zeros = |r: &mut Reverse, n: usize| (n > 0).then(|| r.editor.vector(&vec![0; n]));
    let (before, after) = (zeros(r, part.axis), zeros(r, rank - part.axis - 1));
    let pieces =
        [&before, &Some(sizes[0].clone()), &after, &before, &Some(sizes[1].clone()), &after];
    let pieces: Vec<&str> = pieces.into_iter().flatten().map(String::as_str).collect();
    let pads = r.op_with("Concat", &pieces, vec![int("axis", 0)]);
    r.op("Pad", &[g, &pads])
}

/// Starts of a slice, and the axis of each.
fn starts(r: &Reverse, call: &Call<'_>) -> Result<(Vec<Position>, Vec<i64>), GraphError> {
    let starts = r.positions(call, call.input(1))?;
    let axes = match call.node.input_at(3) {
        Some(name) => r.integers(call, name)?,
        None => (0..starts.len()).map(as_i64).collect(),
    };
    Ok((starts, axes))
}

/// The axes of fixed length on which less than everything is taken.
fn ranges(r: &Reverse, call: &Call<'_>) -> Result<Vec<Range>, GraphError> {
    let (x, y) = (r.shape(call, call.input(0))?, r.shape(call, call.y())?);
    let (starts, axes) = starts(r, call)?;
    let steps = match call.node.input_at(4) {
        Some(name) => r.integers(call, name)?,
        None => vec![1; starts.len()],
    };
    let mut out = Vec::new();
    for ((&a, &start), &step) in axes.iter().zip(&starts).zip(&steps) {
        let a = axis(a, x.len());
        match (x.get(a), y.get(a), start) {
            (Some(Dim::Fixed(length)), Some(Dim::Fixed(taken)), Position::Fixed(start))
                if step >= 1 =>
            {
                let (length, taken) = (as_i64(*length), as_i64(*taken));
                let start = if start < 0 { start + length } else { start }.clamp(0, length);
                out.push(Range { axis: a, start, step, taken, length });
            }
            (Some(from), Some(to), Position::Fixed(0)) if from == to && step == 1 => {}
            (Some(&Dim::Batch(n)), Some(&Dim::Batch(taken)), Position::Fixed(0))
                if step == 1 && taken <= n => {}
            (Some(&Dim::Batch(n)), Some(&Dim::Batch(taken)), Position::Batch(start))
                if step == 1 && start + taken <= n => {}
            (Some(Dim::Fixed(_)), ..) => {
                return Err(r.error(call, format!(
                    "it takes from {start:?} by {step} on axis {a} of {x:?}: moving starts and backward steps have no rule"
                )));
            }
            _ => {
                return Err(r.error(call, format!(
                    "it is a slice over the batch (axis {a} of {x:?}, from {start:?} by {step}): only parts that are multiples of the batch size have a rule, as the halves of two batches joined inside the graph"
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

#[cfg(test)]
mod tests {
    use crate::edit::int;
    use crate::rules::testing::{check, refused};
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
        assert!(text.contains("node Slice_0 (Slice): it is a slice over the batch"), "{text}");
    }

    #[test]
    fn one_half_of_a_batch_and_a_part_of_another_axis() {
        let g = GraphUnderTest::new(&[3, 2]).ints("zero", &[0]).ints("halves", &[2]);
        let g = g.ints("one", &[1]).ints("axes", &[1, 0]).ints("end", &[i64::MAX]);
        let g = g
            .node("Concat", &["x", "x"], &["both"], vec![int("axis", 0)])
            .node("Shape", &["both"], &["shape"], vec![])
            .node("Gather", &["shape", "zero"], &["rows"], vec![])
            .node("Div", &["rows", "halves"], &["n"], vec![])
            .node("Concat", &["one", "n"], &["starts"], vec![int("axis", 0)])
            .node("Concat", &["end", "rows"], &["ends"], vec![int("axis", 0)]);
        check(squared(g.node("Slice", &["both", "starts", "ends", "axes"], &["a"], vec![])));
    }

    #[test]
    fn a_start_that_counts_from_a_moving_end_is_refused() {
        let g = GraphUnderTest::new(&[3]).ints("zero", &[0]).ints("end", &[i64::MAX]);
        let g = g
            .node("Concat", &["x", "x"], &["both"], vec![int("axis", 0)])
            .node("Shape", &["x"], &["shape"], vec![])
            .node("Gather", &["shape", "zero"], &["n"], vec![])
            .node("Neg", &["n"], &["start"], vec![]);
        let text = refused(g.node("Slice", &["both", "start", "end", "zero"], &["y"], vec![]));
        assert!(text.contains("it is a slice over the batch"), "{text}");
    }
}
