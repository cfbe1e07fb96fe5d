//! Axes of values that are laid out anew, cut, joined, repeated or padded.

use super::decide::{Decided, Undecided, differ, equal, known, together};
use super::expr::{Axes, Expr};
use super::seen::Seen;
use crate::dim::axis;

/// A number so large that it stands for the end of any axis.
const END: f64 = 2_147_483_647.0;

/// `None` for operators of other modules.
pub(super) fn outputs(seen: &Seen<'_>) -> Option<Decided<Vec<Axes>>> {
    let one: fn(&Seen<'_>) -> Decided<Axes> = match seen.node.op_type.as_str() {
        "Reshape" => reshape,
        "Flatten" => flatten,
        "Squeeze" => squeeze,
        "Unsqueeze" => unsqueeze,
        "Transpose" => transpose,
        "Concat" => concat,
        "Slice" => slice,
        "Gather" => gather,
        "GatherElements" => |seen| seen.input(1).cloned(),
        "Expand" => |seen| together(seen.input(0)?, &seen.numbers(1)?),
        "Tile" => tile,
        "Pad" => pad,
        "ConstantOfShape" => |seen| seen.numbers(0),
        "DepthToSpace" | "SpaceToDepth" => blocks,
        "OneHot" => one_hot,
        "Split" => return Some(split(seen)),
        _ => return None,
    };
    Some(one(seen).map(|axes| vec![axes]))
}

/// Product of lengths as `factor * B^power`, for axes that are fixed or multiples of the batch.
fn product(axes: &[Expr]) -> Decided<(f64, i32)> {
    axes.iter().try_fold((1.0, 0), |(factor, power), e| match e.constant() {
        Some(n) => Ok((factor * n, power)),
        None if e.minus(Expr { per_batch: e.per_batch, fixed: 0.0 }).is(0.0) => {
            Ok((factor * e.per_batch, power + 1))
        }
        None => Err(Undecided::Open),
    })
}

fn reshape(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let mut target = seen.numbers(1)?;
    if seen.node.int_or("allowzero", 0) == 0 {
        for (k, length) in target.iter_mut().enumerate() {
            if length.is(0.0) {
                *length = *known(x.get(k))?;
            }
        }
    }
    let open: Vec<usize> = (0..target.len()).filter(|&k| target[k].is(-1.0)).collect();
    // Lengths that both sides have cancel, whatever they are.
    let mut from = x.clone();
    let mut to: Axes = target.iter().copied().filter(|e| !e.is(-1.0)).collect();
    to.retain(|e| match from.iter().position(|f| f == e) {
        Some(k) => {
            from.swap_remove(k);
            false
        }
        None => true,
    });
    let ((have, have_power), (want, want_power)) = (product(&from)?, product(&to)?);
    let rest = have / want;
    match (open[..].first(), open.len(), have_power - want_power) {
        (None, _, 0) if rest.to_bits() == 1.0f64.to_bits() => Ok(target),
        (None, _, 1) => {
            let rows = Expr::fixed(want / have).count().filter(|&n| n > 0);
            Err(rows.map_or(Undecided::Open, Undecided::BakedIn))
        }
        (Some(&k), 1, power @ (0 | 1)) if rest.fract() <= 0.0 && rest > 0.0 => {
            target[k] = match power {
                0 => Expr::fixed(rest),
                _ => Expr { per_batch: rest, fixed: 0.0 },
            };
            Ok(target)
        }
        _ => Err(Undecided::Open),
    }
}

fn flatten(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let at = axis(seen.node.int_or("axis", 1), x.len()).min(x.len());
    let whole = |axes: &[Expr]| known(axes.iter().try_fold(Expr::length(1), |n, &e| n.times(e)));
    Ok(vec![whole(&x[..at])?, whole(&x[at..])?])
}

/// Axes of an operator that takes them as its second input.
fn listed(seen: &Seen<'_>, rank: usize) -> Decided<Vec<usize>> {
    Ok(seen.constants(1)?.into_iter().map(|a| axis(a, rank)).collect())
}

fn squeeze(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let gone: Vec<usize> = match seen.node.input_at(1) {
        Some(_) => listed(seen, x.len())?,
        None => (0..x.len()).filter(|&k| x[k].is(1.0)).collect(),
    };
    for &k in &gone {
        equal(*known(x.get(k))?, Expr::length(1))?;
    }
    Ok(x.iter().enumerate().filter(|(k, _)| !gone.contains(k)).map(|(_, &e)| e).collect())
}

fn unsqueeze(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    let rank = x.len() + seen.constants(1)?.len();
    let new = listed(seen, rank)?;
    let mut old = x.iter().copied();
    (0..rank)
        .map(|k| if new.contains(&k) { Ok(Expr::length(1)) } else { known(old.next()) })
        .collect()
}

fn transpose(seen: &Seen<'_>) -> Decided<Axes> {
    let x = seen.input(0)?;
    match seen.node.ints_of("perm") {
        None => Ok(x.iter().rev().copied().collect()),
        Some(perm) if perm.len() == x.len() => {
            perm.iter().map(|&p| known(x.get(axis(p, x.len())).copied())).collect()
        }
        Some(_) => Err(Undecided::Open),
    }
}

fn concat(seen: &Seen<'_>) -> Decided<Axes> {
    let mut axes = seen.input(0)?.clone();
    let along = axis(seen.node.int_or("axis", 0), axes.len());
    for index in 1..seen.node.input.len() {
        let next = seen.input(index)?;
        if next.len() != axes.len() {
            return Err(Undecided::Open);
        }
        for (k, (a, &b)) in axes.iter_mut().zip(next).enumerate() {
            *a = if k == along { a.plus(b) } else { equal(*a, b)? };
        }
    }
    Ok(axes)
}

fn split(seen: &Seen<'_>) -> Decided<Vec<Axes>> {
    let x = seen.input(0)?;
    let n = seen.node.output.len();
    let along = axis(seen.node.int_or("axis", 0), x.len());
    let length = *known(x.get(along))?;
    let parts: Vec<Expr> = if seen.node.input_at(1).is_some() {
        seen.numbers(1)?
    } else {
        let part = known(length.over(Expr::length(n)))?;
        match part.constant() {
            // Pieces of one size, the last smaller.
            Some(part) => {
                let (whole, all) = (part.ceil(), part * n as f64);
                (0..n).map(|k| Expr::fixed(whole.min(all - whole * k as f64).round())).collect()
            }
            None => vec![known(part.rounded(f64::ceil))?; n],
        }
    };
    let sum = parts.iter().fold(Expr::length(0), |sum, &part| sum.plus(part));
    if parts.len() != n || sum != length {
        return Err(differ(sum, length));
    }
    let with = |part| {
        let mut axes = x.clone();
        axes[along] = part;
        axes
    };
    Ok(parts.into_iter().map(with).collect())
}

fn slice(seen: &Seen<'_>) -> Decided<Axes> {
    let (starts, ends) = (seen.numbers(1)?, seen.numbers(2)?);
    let count = i64::try_from(starts.len()).unwrap_or(0);
    let axes = match seen.node.input_at(3) {
        Some(_) => seen.constants(3)?,
        None => (0..count).collect(),
    };
    let steps = match seen.node.input_at(4) {
        Some(_) => seen.constants(4)?,
        None => vec![1; starts.len()],
    };
    let mut out = seen.input(0)?.clone();
    for (k, &a) in axes.iter().enumerate() {
        let a = axis(a, out.len());
        let length = *known(out.get(a))?;
        let (start, end) = (*known(starts.get(k))?, *known(ends.get(k))?);
        out[a] = match *known(steps.get(k))? {
            1 => taken(length, start, end)?,
            step => steps_taken(length, start, end, step)?,
        };
    }
    Ok(out)
}

/// A place on an axis: from the end where negative, and never outside.
fn place(length: Expr, at: Expr) -> Decided<Expr> {
    if at.constant().is_some_and(|at| at >= END) {
        return Ok(length);
    }
    let zero = Expr::length(0);
    let at = if known(zero.at_most(at))? { at } else { at.plus(length) };
    if known(at.at_most(zero))? {
        return Ok(zero);
    }
    Ok(if known(at.at_most(length))? { at } else { length })
}

fn taken(length: Expr, start: Expr, end: Expr) -> Decided<Expr> {
    let taken = place(length, end)?.minus(place(length, start)?);
    let nothing = Expr::length(0);
    Ok(if known(nothing.at_most(taken))? { taken } else { nothing })
}

fn steps_taken(length: Expr, start: Expr, end: Expr, step: i64) -> Decided<Expr> {
    let [length, start, end] = [length, start, end].map(Expr::constant);
    let (length, start, end) = (known(length)?, known(start)?, known(end)?);
    let from_end = |at: f64| if at < 0.0 { at + length } else { at };
    let step = step as f64;
    let (start, end) = if step > 0.0 {
        (from_end(start).clamp(0.0, length), from_end(end).clamp(0.0, length))
    } else {
        (from_end(start).clamp(0.0, length - 1.0), from_end(end).clamp(-1.0, length - 1.0))
    };
    Ok(Expr::fixed(((end - start) / step).ceil().max(0.0)))
}

fn gather(seen: &Seen<'_>) -> Decided<Axes> {
    let (x, indices) = (seen.input(0)?, seen.input(1)?);
    let along = axis(seen.node.int_or("axis", 0), x.len());
    let (before, after) = (known(x.get(..along))?, known(x.get(along + 1..))?);
    Ok([before, indices, after].concat())
}

fn tile(seen: &Seen<'_>) -> Decided<Axes> {
    let (x, repeats) = (seen.input(0)?, seen.numbers(1)?);
    if x.len() != repeats.len() {
        return Err(Undecided::Open);
    }
    x.iter().zip(&repeats).map(|(a, &n)| known(a.times(n))).collect()
}

fn pad(seen: &Seen<'_>) -> Decided<Axes> {
    let mut out = seen.input(0)?.clone();
    let pads = seen.numbers(1)?;
    let axes: Vec<usize> = match seen.node.input_at(3) {
        Some(_) => seen.constants(3)?.into_iter().map(|a| axis(a, out.len())).collect(),
        None => (0..out.len()).collect(),
    };
    for (k, &a) in axes.iter().enumerate() {
        let (before, after) = (known(pads.get(k))?, known(pads.get(k + axes.len()))?);
        let length = known(out.get_mut(a))?;
        *length = length.plus(*before).plus(*after);
    }
    Ok(out)
}

fn blocks(seen: &Seen<'_>) -> Decided<Axes> {
    let &[n, channels, height, width] = &seen.input(0)?[..] else { return Err(Undecided::Open) };
    let size = Expr::fixed(known(Expr::fixed(seen.node.int_or("blocksize", 1) as f64).constant())?);
    let area = known(size.times(size))?;
    let lengths = if seen.node.op_type == "DepthToSpace" {
        (channels.whole_over(area), height.times(size), width.times(size))
    } else {
        (channels.times(area), height.whole_over(size), width.whole_over(size))
    };
    Ok(vec![n, known(lengths.0)?, known(lengths.1)?, known(lengths.2)?])
}

fn one_hot(seen: &Seen<'_>) -> Decided<Axes> {
    let mut axes = seen.input(0)?.clone();
    let depth = *known(seen.numbers(1)?.first())?;
    let at = axis(seen.node.int_or("axis", -1), axes.len() + 1);
    if at > axes.len() {
        return Err(Undecided::Open);
    }
    axes.insert(at, depth);
    Ok(axes)
}
