//! Order and lengths of the axes of a state.

use crate::config::model_yaml::Layout;
use crate::graph::{DeclaredDim, Port};

/// Declared axes of a port; `None` for an open one.
pub(super) fn axes(port: &Port) -> Vec<Option<usize>> {
    let length = |dim: &DeclaredDim| match dim {
        DeclaredDim::Fixed(n) => Some(*n),
        DeclaredDim::Named(_) => None,
    };
    port.dims.as_deref().unwrap_or_default().iter().map(length).collect()
}

/// `[?, 3, 32, 32]`.
pub(super) fn shown(axes: &[Option<usize>]) -> String {
    let words: Vec<String> =
        axes.iter().map(|n| n.map_or_else(|| "?".to_owned(), |n| n.to_string())).collect();
    format!("[{}]", words.join(", "))
}

/// The order of the axes of `x`, and `[c, h, w]` of its states, which `given` says where the graph leaves them open.
///
/// A last axis of 1 or 3 beside other axes that are open or equal is that of the channels.
///
/// # Errors
/// Where sizes stay open, and where `given` is none of this graph.
pub(super) fn state(
    (x, output): (&Port, &Port),
    given: Option<[usize; 3]>,
) -> Result<(Layout, [usize; 3]), String> {
    let (x_axes, output) = (axes(x), axes(output));
    let &[_, a, b, c] = &x_axes[..] else {
        return Err(format!("`{}` has shape {}: expected four axes", x.name, shown(&x_axes)));
    };
    let (first, last) = ((Layout::Nchw, [a, b, c]), (Layout::Nhwc, [c, a, b]));
    let orders = if channels_last([a, b, c], &output) { [last, first] } else { [first, last] };
    let declared = format!("`{}` is declared {}", x.name, shown(&x_axes));
    let Some(given) = given else {
        let (layout, [Some(c), Some(h), Some(w)]) = orders[0] else {
            let remedy = "say channels, height and width by --image C,H,W";
            return Err(format!("{declared}, which leaves sizes open: {remedy}"));
        };
        return Ok((layout, [c, h, w]));
    };
    let fits = |known: &[Option<usize>; 3]| {
        given.iter().zip(known).all(|(given, known)| known.is_none_or(|n| n == *given))
    };
    if let Some((layout, _)) = orders.iter().find(|(_, known)| fits(known)) {
        return Ok((*layout, given));
    }
    let [c, h, w] = given;
    Err(format!(
        "--image {c},{h},{w}: {declared}, which is neither [batch, {c}, {h}, {w}] nor [batch, {h}, {w}, {c}]: say its own channels, height and width"
    ))
}

/// Whether the last axis of a state is that of its channels, by its length and by that of the prediction.
fn channels_last([a, b, c]: [Option<usize>; 3], output: &[Option<usize>]) -> bool {
    let few = |n: Option<usize>| matches!(n, Some(1 | 3));
    let alike = a.is_none() || b.is_none() || a == b;
    let of_output = output.get(3).copied().flatten();
    let same = of_output.is_none_or(|n| c.is_some_and(|c| n == c || n == 2 * c));
    few(c) && !few(a) && alike && same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ElementType;

    fn port(axes: [Option<usize>; 4]) -> Port {
        let dim =
            |n: Option<usize>| n.map_or(DeclaredDim::Named("n".to_owned()), DeclaredDim::Fixed);
        let dims = Some(axes.into_iter().map(dim).collect());
        Port { name: "x".to_owned(), element: ElementType::F32, dims }
    }

    fn of(
        a: usize,
        b: usize,
        c: usize,
        given: Option<[usize; 3]>,
    ) -> Result<(Layout, [usize; 3]), String> {
        let open = |n: usize| (n > 0).then_some(n);
        let x = port([None, open(a), open(b), open(c)]);
        state((&x, &x), given)
    }

    #[test]
    fn channels_are_looked_for_at_both_ends() {
        assert_eq!(of(3, 32, 32, None), Ok((Layout::Nchw, [3, 32, 32])));
        assert_eq!(of(16, 16, 3, None), Ok((Layout::Nhwc, [3, 16, 16])));
        assert_eq!(of(28, 28, 1, None), Ok((Layout::Nhwc, [1, 28, 28])));
        assert_eq!(of(3, 3, 3, None), Ok((Layout::Nchw, [3, 3, 3])));
        assert_eq!(of(16, 24, 3, None), Ok((Layout::Nchw, [16, 24, 3])));
        assert_eq!(of(4, 8, 8, None), Ok((Layout::Nchw, [4, 8, 8])));
        let (x, other) =
            (port([None, Some(16), Some(16), Some(3)]), port([None, Some(16), Some(16), Some(16)]));
        assert_eq!(state((&x, &other), None), Ok((Layout::Nchw, [16, 16, 3])));
    }

    #[test]
    fn what_is_said_chooses_the_order_that_it_fits() {
        assert_eq!(of(16, 16, 3, Some([3, 16, 16])), Ok((Layout::Nhwc, [3, 16, 16])));
        assert_eq!(of(16, 24, 3, Some([3, 16, 24])), Ok((Layout::Nhwc, [3, 16, 24])));
        assert_eq!(of(0, 0, 3, Some([3, 16, 16])), Ok((Layout::Nhwc, [3, 16, 16])));
        assert_eq!(of(3, 0, 0, Some([3, 16, 16])), Ok((Layout::Nchw, [3, 16, 16])));
        assert_eq!(of(32, 32, 4, Some([4, 32, 32])), Ok((Layout::Nhwc, [4, 32, 32])));
    }

    #[test]
    fn refusals_say_the_shape_as_people_write_one() {
        for (axes, shape) in [([3, 0, 0], "[?, 3, ?, ?]"), ([0, 0, 3], "[?, ?, ?, 3]")] {
            let message = of(axes[0], axes[1], axes[2], None).unwrap_err();
            assert!(message.contains(shape) && message.contains("--image C,H,W"), "{message}");
        }
        let message = of(3, 32, 32, Some([3, 64, 64])).unwrap_err();
        let expected =
            "--image 3,64,64: `x` is declared [?, 3, 32, 32], which is neither [batch, 3, 64, 64]";
        assert!(message.starts_with(expected), "{message}");
    }
}
