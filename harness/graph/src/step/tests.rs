//! One call against separate ones with float64 between: the same bits.

use super::{
    A, EARLIER, EPSILON, GAIN, KEEP, MEAN_SQUARE, NEXT, NEXT_A, NEXT_S, NOISE, OF_OUTPUT, OF_X,
    Options, Prediction, S, Update, VARIANCE, WEIGHT, X0_HAT, step,
};
use crate::dim::Dim;
use crate::edit::int;
use crate::golden::Golden;
use crate::model::Model;
use crate::public::Public;
use crate::shapes::tests::NeverAsked;
use crate::tensor::{ElementType, Tensor, TensorData};
use crate::testing::{GraphUnderTest, random_tensor, run, runner, values};
use crate::{Feeds, Names};

const OUTPUTS: [&str; 5] = [EPSILON, X0_HAT, VARIANCE, MEAN_SQUARE, NEXT];
const LEVEL: [f64; 2] = [0.8, 0.6];
const NEXT_LEVEL: [f64; 2] = [0.9, 0.43];
/// keep, gain, weight.
const SOLVER: [f64; 3] = [0.7, 0.35, 0.55];
/// of output, of x.
const LINE: [f64; 2] = [0.8, 0.6];

fn options(n_draws: usize) -> Options<'static> {
    Options {
        names: Names::default(),
        n_draws,
        prediction: Prediction::Epsilon,
        clip: Some([-1.0, 1.0]),
        update: Update::Ddim,
    }
}

fn scalar(value: f64) -> Tensor {
    Tensor::scalar_f64(value)
}

/// What goes into a step beside the inputs of the network.
struct Ask<'a> {
    options: Options<'a>,
    x: &'a str,
    output: &'a str,
    feeds: Feeds,
    noise: Tensor,
    earlier: Tensor,
}

impl<'a> Ask<'a> {
    fn new(options: Options<'a>, (x, output): (&'a str, &'a str), feeds: Feeds) -> Self {
        let shape = feeds.iter().find(|(name, _)| name == x).unwrap().1.shape().to_vec();
        let noise = random_tensor(&[&[options.n_draws], shape.as_slice()].concat(), 11);
        Self { options, x, output, feeds, noise, earlier: random_tensor(&shape, 12) }
    }

    fn all_feeds(&self) -> Feeds {
        let mut feeds = self.feeds.clone();
        feeds.push((NOISE.to_owned(), self.noise.clone()));
        let mut push = |name: &str, value: f64| feeds.push((name.to_owned(), scalar(value)));
        push(A, LEVEL[0]);
        push(S, LEVEL[1]);
        if self.options.prediction == Prediction::Line {
            push(OF_OUTPUT, LINE[0]);
            push(OF_X, LINE[1]);
        }
        match self.options.update {
            Update::Ddim => {
                push(NEXT_A, NEXT_LEVEL[0]);
                push(NEXT_S, NEXT_LEVEL[1]);
            }
            Update::DpmSolverPp2m => {
                push(KEEP, SOLVER[0]);
                push(GAIN, SOLVER[1]);
                push(WEIGHT, SOLVER[2]);
                feeds.push((EARLIER.to_owned(), self.earlier.clone()));
            }
        }
        feeds
    }

    /// `epsilon_hat` of a separate call at these states: each row of the first channels.
    fn epsilon(&self, model: &Model, feeds: Feeds) -> Vec<f32> {
        let x = feeds.iter().find(|(name, _)| name == self.x).unwrap().1.clone();
        let out = run(model, feeds, &[self.output]).remove(0);
        let row = values(&x).len() / x.shape()[0];
        let rows = values(&out).chunks(values(&out).len() / x.shape()[0]);
        let out: Vec<f32> = rows.flat_map(|all| all[..row].to_vec()).collect();
        match self.options.prediction {
            Prediction::Epsilon => out,
            Prediction::Line => {
                let line = |(o, x): (&f32, &f32)| wide(*o) * LINE[0] + wide(*x) * LINE[1];
                out.iter().zip(values(&x)).map(line).map(narrow).collect()
            }
        }
    }

    /// The outputs of [`OUTPUTS`], by two calls.
    fn separate(&self, model: &Model) -> Vec<Vec<f32>> {
        let ([a, s], m) = (LEVEL, self.options.n_draws);
        let state = self.feeds.iter().find(|(name, _)| name == self.x).unwrap().1.clone();
        let x = values(&state).to_vec();
        let epsilon = self.epsilon(model, self.feeds.clone());
        let clip = |v: f32| self.options.clip.map_or(v, |[low, high]| v.clamp(low, high));
        let x0_hat: Vec<f32> = x
            .iter()
            .zip(&epsilon)
            .map(|(x, e)| clip(narrow((wide(*x) - s * wide(*e)) / a)))
            .collect();
        let noised = values(&self.noise).iter().zip(x0_hat.iter().cycle());
        let states = noised.map(|(n, x0)| narrow(a * wide(*x0) + s * wide(*n))).collect();
        let shape = [&[m * state.shape()[0]], &state.shape()[1..]].concat();
        let states = Tensor::new(shape, TensorData::F32(states)).unwrap();
        let repeat = |(name, tensor): &(String, Tensor)| match name {
            name if name == self.x => (name.clone(), states.clone()),
            name => (name.clone(), repeated(tensor, m, state.shape()[0])),
        };
        let all = self.epsilon(model, self.feeds.iter().map(repeat).collect());
        let draws: Vec<&[f32]> = all.chunks(x.len()).collect();
        let scatter = |center: &dyn Fn(usize) -> f64, n: f64| -> Vec<f32> {
            let of = |i| draws.iter().fold(0.0, |sum, d| sum + (wide(d[i]) - center(i)).powi(2));
            (0..x.len()).map(|i| narrow(of(i) / n)).collect()
        };
        let mean = |i: usize| draws.iter().fold(0.0, |sum, d| sum + wide(d[i])) / m as f64;
        let next = |i: usize| match self.options.update {
            Update::Ddim => NEXT_LEVEL[0] * wide(x0_hat[i]) + NEXT_LEVEL[1] * wide(epsilon[i]),
            Update::DpmSolverPp2m => {
                let (now, before) = (wide(x0_hat[i]), wide(values(&self.earlier)[i]));
                SOLVER[0] * wide(x[i]) + SOLVER[1] * (now + SOLVER[2] * (now - before))
            }
        };
        let next = (0..x.len()).map(|i| narrow(next(i))).collect();
        let about = |i: usize| wide(epsilon[i]);
        let [variance, square] = [scatter(&mean, m as f64 - 1.0), scatter(&about, m as f64)];
        vec![epsilon, x0_hat, variance, square, next]
    }

    /// Holds one call against separate ones.
    fn check(&self, name: &str, model: &Model) {
        let derived = step(model, self.options, &NeverAsked);
        let derived = derived.unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = run(&derived, self.all_feeds(), &OUTPUTS);
        for ((got, expected), output) in got.iter().zip(self.separate(model)).zip(OUTPUTS) {
            assert!(expected.iter().all(|v| v.is_finite()), "{name}: {output}");
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(values(got)) == bits(&expected), "{name}: {output} has other bits");
        }
        assert!(values(&got[2]).iter().any(|v| *v > 0.0), "{name}: the draws do not differ");
    }
}

fn wide(value: f32) -> f64 {
    f64::from(value)
}

#[expect(clippy::cast_possible_truncation, reason = "the one rounding of the step")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// A tensor of one row a sample, `m` times over; any other one as it is.
fn repeated(tensor: &Tensor, m: usize, b: usize) -> Tensor {
    if tensor.shape().first() != Some(&b) {
        return tensor.clone();
    }
    let shape = [&[m * b], &tensor.shape()[1..]].concat();
    let data = match tensor.data() {
        TensorData::F32(v) => TensorData::F32(v.repeat(m)),
        TensorData::I64(v) => TensorData::I64(v.repeat(m)),
        other => panic!("{other:?} is no input of these networks"),
    };
    Tensor::new(shape, data).unwrap()
}

#[test]
fn one_call_has_the_bits_of_separate_calls_on_the_fixture_networks() {
    for name in
        ["ddpm_traced_17", "ddpm_dynamo_20", "adm_traced_13", "adm_dynamo_18", "uvit_traced_17"]
    {
        let golden = Golden::read(name);
        let feeds = golden.feeds(&["sample", "timestep"]);
        Ask::new(options(3), ("sample", "eps"), feeds).check(name, &golden.model);
    }
}

#[test]
fn public_networks_with_conditions_have_the_bits_of_separate_calls() {
    let all = Public::all();
    assert_eq!(all.len(), 16);
    for public in all {
        let names = Names { x: Some("sample"), output: None };
        let options = Options { names, ..options(2) };
        Ask::new(options, ("sample", "out"), public.feeds()).check(&public.name, &public.model);
    }
}

#[test]
fn the_other_update_other_predictions_and_no_clip_have_the_bits_too() {
    let golden = Golden::read("uvit_dynamo_20");
    for update in [Update::Ddim, Update::DpmSolverPp2m] {
        for prediction in [Prediction::Epsilon, Prediction::Line] {
            let options = Options { prediction, clip: None, update, ..options(5) };
            let feeds = golden.feeds(&["sample", "timestep"]);
            let name = format!("{update:?}, {prediction:?}");
            Ask::new(options, ("sample", "eps"), feeds).check(&name, &golden.model);
        }
    }
}

/// `y = (x W) g(t)` with one time for all rows.
fn one_time() -> GraphUnderTest {
    GraphUnderTest::new(&[4, 2, 2])
        .input("t", ElementType::F32, &[])
        .random("w", &[4, 4, 1, 1])
        .node("Sin", &["t"], &["g"], vec![])
        .node("Conv", &["x", "w"], &["f"], vec![])
        .node("Mul", &["f", "g"], &["y"], vec![])
}

#[test]
fn what_no_row_moves_is_computed_once() {
    let model = one_time().model();
    let x = random_tensor(&[3, 4, 2, 2], 5);
    let t = Tensor::scalar_f32(0.7);
    let feeds = vec![("x".to_owned(), x), ("t".to_owned(), t)];
    Ask::new(options(3), ("x", "y"), feeds).check("one time", &model);
    let derived = step(&model, options(3), &NeverAsked).unwrap();
    let count = |op: &str| derived.graph().node.iter().filter(|node| node.op_type == op).count();
    assert_eq!((count("Sin"), count("Conv")), (1, 2));
}

#[test]
fn learned_variances_behind_the_channels_are_left_out() {
    let model = GraphUnderTest::new(&[2, 3, 2])
        .random("w", &[4, 2, 1, 1])
        .node("Conv", &["x", "w"], &["y"], vec![])
        .model();
    let feeds = vec![("x".to_owned(), random_tensor(&[2, 2, 3, 2], 6))];
    Ask::new(options(2), ("x", "y"), feeds).check("learned variance", &model);
}

#[test]
fn weights_are_there_once_and_the_networks_own_ports_stay() {
    let golden = Golden::read("ddpm_dynamo_20");
    let derived = step(&golden.model, options(5), &NeverAsked).unwrap();
    let weights = |model: &Model| -> usize {
        let bytes =
            |t: &crate::proto::TensorProto| t.raw_data.as_ref().map_or(0, prost::bytes::Bytes::len);
        model.graph().initializer.iter().map(bytes).sum()
    };
    // Constants of the step are a few numbers.
    assert!(weights(&derived) < weights(&golden.model) + 512);
    let names = |ports: Vec<crate::Port>| ports.into_iter().map(|p| p.name).collect::<Vec<_>>();
    assert_eq!(
        names(derived.inputs()),
        ["sample", "timestep", NOISE, A, S, NEXT_A, NEXT_S].map(str::to_owned)
    );
    let outputs = [&["eps"], OUTPUTS.as_slice()].concat();
    assert_eq!(names(derived.outputs()), outputs);
}

fn refusal(model: &Model, options: Options<'_>) -> String {
    step(model, options, &runner()).unwrap_err().to_string()
}

#[test]
fn what_makes_no_step_is_refused_by_name() {
    let relu = || GraphUnderTest::new(&[3, 2, 2]).node("Relu", &["x"], &["y"], vec![]);
    assert!(refusal(&relu().model(), options(1)).contains("variance of 1 draw"));
    let flat = GraphUnderTest::new(&[2, 2, 2]).ints("s", &[-1, 8]);
    let flat = flat.node("Reshape", &["x", "s"], &["y"], vec![]);
    assert!(refusal(&flat.model(), options(2)).contains("output y has axes"));
    let baked = GraphUnderTest::new(&[2, 2, 2])
        .ints("rows", &[4, 8])
        .ints("image", &[4, 2, 2, 2])
        .node("Reshape", &["x", "rows"], &["r"], vec![])
        .node("Softmax", &["r"], &["p"], vec![int("axis", -1)])
        .node("Reshape", &["p", "image"], &["y"], vec![])
        .model();
    let text = refusal(&baked, options(2));
    assert!(text.contains("batch"), "{text}");
    let taken = GraphUnderTest::new(&[3, 2, 2])
        .node("Relu", &["x"], &["step_noise"], vec![])
        .node("Exp", &["step_noise"], &["y"], vec![])
        .model();
    assert!(refusal(&taken, options(2)).contains("already has a value called step_noise"));
    let turned = relu().input("c", ElementType::F32, &[Dim::Fixed(3), Dim::Batch(1)]);
    let text = refusal(
        &turned.model(),
        Options { names: Names { x: Some("x"), output: None }, ..options(2) },
    );
    assert!(text.contains("input c has the batch on another axis"), "{text}");
}
