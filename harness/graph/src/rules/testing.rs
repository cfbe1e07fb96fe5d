//! Central differences: what every rule is held against.

use crate::reverse::ConvGradient;
use crate::runner::{Runner, Source};
use crate::testing::{GraphUnderTest, random_tensor, relative_error, run, runner, values};
use crate::vjp::{Options, vjp};
use crate::{Feeds, Model, Names, Tensor, TensorData};

/// Small graphs do not look like images: the input is named.
const X: Names<'_> = Names { x: Some("x"), output: None };
/// Step of the differences, and the error that float32 and their curvature leave.
const STEP: f32 = 1e-2;
const TOLERANCE: f32 = 2e-3;

/// Compares `J^T v` of a graph `x -> y` with central differences, at batches 1 and 2.
pub(crate) fn check(graph: GraphUnderTest) {
    check_with(graph, ConvGradient::ConvTranspose);
}

pub(crate) fn check_with(graph: GraphUnderTest, conv: ConvGradient) {
    let plain = graph.model();
    let derived = vjp(&plain, Options { names: X, conv }, &runner())
        .unwrap_or_else(|error| panic!("{error}"));
    for batch in [1, 2] {
        check_batch(&plain, &derived, batch);
    }
}

fn check_batch(plain: &Model, derived: &Model, batch: usize) {
    let shape = x_shape(plain, batch);
    let x = on_a_grid(&random_tensor(&shape, 11));
    let y = run(plain, vec![("x".to_owned(), x.clone())], &["y"]).remove(0);
    let v = random_tensor(y.shape(), 23);
    let feeds = vec![("x".to_owned(), x.clone()), ("cotangent".to_owned(), v.clone())];
    let both = run(derived, feeds, &["y", "jtv"]);
    assert_eq!(both[0].data(), y.data(), "the forward part changed");
    assert_eq!(both[1].shape(), x.shape());
    let expected = differences(plain, &x, &v);
    let error = relative_error(values(&both[1]), &expected);
    assert!(
        error < TOLERANCE,
        "batch {batch}: relative error {error}, got {:?}, expected {expected:?}",
        both[1]
    );
}

/// Values no closer than 0.02 to 0 and to the bounds that the tests use, for functions with corners.
fn on_a_grid(x: &Tensor) -> Tensor {
    let snapped = values(x).iter().map(|v| (v * 12.0).round() / 12.0 + 0.02).collect();
    Tensor::new(x.shape().to_vec(), TensorData::F32(snapped)).unwrap()
}

fn x_shape(model: &Model, batch: usize) -> Vec<usize> {
    let dims = model.inputs().into_iter().find(|p| p.name == "x").and_then(|p| p.dims).unwrap();
    let length = |d: &crate::DeclaredDim| match d {
        crate::DeclaredDim::Fixed(n) => *n,
        crate::DeclaredDim::Named(_) => batch,
    };
    dims.iter().map(length).collect()
}

/// `sum_j v_j (y_j(x + h e_i) - y_j(x - h e_i)) / 2h` for each element `i`.
fn differences(model: &Model, x: &Tensor, v: &Tensor) -> Vec<f32> {
    let n = values(x).len();
    let feeds: Vec<Feeds> = (0..n)
        .flat_map(|i| [(i, STEP), (i, -STEP)])
        .map(|(i, step)| {
            let mut moved = values(x).to_vec();
            moved[i] += step;
            let moved = Tensor::new(x.shape().to_vec(), TensorData::F32(moved)).unwrap();
            vec![("x".to_owned(), moved)]
        })
        .collect();
    let bytes = model.to_bytes().unwrap();
    let ys = runner().run(Source::Bytes(&bytes), &feeds, &["y".to_owned()]).unwrap();
    let dot = |y: &Tensor| -> f64 {
        values(y).iter().zip(values(v)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    #[expect(clippy::cast_possible_truncation, reason = "compared with f32 gradients")]
    ys.chunks(2)
        .map(|pair| ((dot(&pair[0][0]) - dot(&pair[1][0])) / f64::from(2.0 * STEP)) as f32)
        .collect()
}

/// The refusal of a graph.
pub(crate) fn refused(graph: GraphUnderTest) -> String {
    let options = Options { names: X, ..Options::default() };
    vjp(&graph.model(), options, &runner()).unwrap_err().to_string()
}
