//! The nodes of a step.

use std::collections::HashMap;

use super::{
    A, EARLIER, EPSILON, GAIN, KEEP, MEAN_SQUARE, NEXT, NEXT_A, NEXT_S, NOISE, OF_OUTPUT, OF_X,
    Options, Prediction, S, Update, VARIANCE, WEIGHT, X0_HAT,
};
use crate::checks::Interface;
use crate::dim::Dim;
use crate::edit::{Editor, int};
use crate::error::GraphError;
use crate::model::Model;
use crate::reverse::lengths;
use crate::shapes::Shapes;
use crate::tensor::{ElementType, Tensor};

/// Axis of the channels, and how many of them are noise.
type Cut = (i64, i64);

/// The graph under construction.
pub(super) struct Step<'a> {
    editor: Editor,
    options: Options<'a>,
    interface: Interface,
    /// Axes of `x`.
    axes: Vec<Dim>,
    /// `[-1, c, h, w]`.
    rows: Vec<i64>,
    /// Axis and number of the channels that are kept of the output, where it has more.
    cut: Option<Cut>,
    /// Inputs beside `x` that follow the batch.
    following: Vec<String>,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        model: Model,
        shapes: &Shapes,
        interface: Interface,
        options: Options<'a>,
    ) -> Result<Self, GraphError> {
        let of = |name: &str| shapes.of(name).map(<[Dim]>::to_vec).unwrap_or_default();
        let (axes, found) = (of(&interface.x), of(&interface.output));
        let Some((rows, cut)) = same_but_for_channels(&axes, &found) else {
            return Err(model.interface_error(format!(
                "output {} has axes {found:?}, expected those of {} ({axes:?}) or twice its channels",
                interface.output, interface.x
            )));
        };
        let mut following = Vec::new();
        for port in model.inputs().into_iter().filter(|port| port.name != interface.x) {
            let dims = of(&port.name);
            if dims.iter().skip(1).any(|dim| matches!(dim, Dim::Batch(_))) {
                return Err(model.interface_error(format!(
                    "input {} has the batch on another axis than the first: export it in front",
                    port.name
                )));
            }
            if matches!(dims.first(), Some(Dim::Batch(_))) {
                following.push(port.name);
            }
        }
        let editor = Editor::new(model, "step");
        Ok(Self { editor, options, interface, axes, rows, cut, following })
    }

    pub(super) fn run(mut self) -> Result<Model, GraphError> {
        self.ports()?;
        let Interface { x, output } = self.interface.clone();
        let prediction = self.epsilon(&output, &x);
        self.name(&prediction, EPSILON);
        let (x, epsilon) = (self.wide(&x), self.wide(EPSILON));
        self.x0_hat(&x, &epsilon);
        let x0_hat = self.wide(X0_HAT);
        let states = self.states(&x0_hat);
        let again = self.network_at(&states)?;
        let predictions = self.epsilon(&again, &states);
        let draws = self.draws(&predictions);
        let sum = self.sum(&draws);
        let mean = self.over(&sum, self.options.n_draws);
        self.scatter(&draws, &mean, self.options.n_draws - 1, VARIANCE);
        self.scatter(&draws, &epsilon, self.options.n_draws, MEAN_SQUARE);
        self.next([&x, &epsilon, &x0_hat]);
        Ok(self.editor.finish())
    }

    /// Inputs and outputs that the network does not have.
    fn ports(&mut self) -> Result<(), GraphError> {
        let of_update: &[&str] = match self.options.update {
            Update::Ddim => &[NEXT_A, NEXT_S],
            Update::DpmSolverPp2m => &[KEEP, GAIN, WEIGHT],
        };
        let of_prediction: &[&str] = match self.options.prediction {
            Prediction::Epsilon => &[],
            Prediction::Line => &[OF_OUTPUT, OF_X],
        };
        let axes = self.axes.clone();
        let noise: Vec<Dim> =
            std::iter::once(Dim::Fixed(self.options.n_draws)).chain(axes.iter().copied()).collect();
        self.input(NOISE, ElementType::F32, &noise)?;
        if self.options.update == Update::DpmSolverPp2m {
            self.input(EARLIER, ElementType::F32, &axes)?;
        }
        for name in of_prediction.iter().chain(&[A, S]).chain(of_update) {
            self.input(name, ElementType::F64, &[])?;
        }
        for name in [EPSILON, X0_HAT, VARIANCE, MEAN_SQUARE, NEXT] {
            self.editor.claim(name)?;
            self.editor.add_output(name, ElementType::F32, &axes);
        }
        Ok(())
    }

    fn input(&mut self, name: &str, element: ElementType, axes: &[Dim]) -> Result<(), GraphError> {
        self.editor.claim(name)?;
        self.editor.add_input(name, element, axes);
        Ok(())
    }

    /// `epsilon_hat` of an output at states, learned-variance channels left out.
    fn epsilon(&mut self, output: &str, x: &str) -> String {
        let output = match self.cut {
            None => output.to_owned(),
            Some((axis, channels)) => {
                let (start, end) = (self.editor.vector(&[0]), self.editor.vector(&[channels]));
                let axis = self.editor.vector(&[axis]);
                self.op("Slice", &[output, &start, &end, &axis])
            }
        };
        match self.options.prediction {
            Prediction::Epsilon => output,
            Prediction::Line => {
                let (output, x) = (self.wide(&output), self.wide(x));
                let of_output = self.op("Mul", &[&output, OF_OUTPUT]);
                let of_x = self.op("Mul", &[&x, OF_X]);
                let sum = self.op("Add", &[&of_output, &of_x]);
                self.narrow(&sum)
            }
        }
    }

    /// `(x - s epsilon) / a`, rounded, then clipped.
    fn x0_hat(&mut self, x: &str, epsilon: &str) {
        let noise = self.op("Mul", &[S, epsilon]);
        let image = self.op("Sub", &[x, &noise]);
        let image = self.op("Div", &[&image, A]);
        let image = self.narrow(&image);
        match self.options.clip {
            None => self.name(&image, X0_HAT),
            Some([low, high]) => {
                let (low, high) = (self.editor.scalar(low), self.editor.scalar(high));
                self.editor.node_to("Clip", &[&image, &low, &high], Vec::new(), X0_HAT);
            }
        }
    }

    /// `a x0_hat + s n_m`, `[M b, c, h, w]`, draw after draw.
    fn states(&mut self, x0_hat: &str) -> String {
        let clean = self.op("Mul", &[A, x0_hat]);
        let noise = self.wide(NOISE);
        let noise = self.op("Mul", &[S, &noise]);
        let noised = self.op("Add", &[&clean, &noise]);
        let noised = self.narrow(&noised);
        let rows = self.rows.clone();
        self.reshaped(&noised, rows)
    }

    /// The network once more, at other states; its output. Nodes that no row moves are those of the first call.
    fn network_at(&mut self, states: &str) -> Result<String, GraphError> {
        let mut known = HashMap::from([(self.interface.x.clone(), states.to_owned())]);
        for name in self.following.clone() {
            let copies = vec![name.as_str(); self.options.n_draws];
            let repeated = self.editor.node("Concat", &copies, vec![int("axis", 0)]);
            known.insert(name, repeated);
        }
        for mut node in self.editor.model().graph().node.clone() {
            if !node.input.iter().any(|input| known.contains_key(input)) {
                continue;
            }
            node.name = self.editor.fresh();
            for input in &mut node.input {
                if let Some(own) = known.get(input) {
                    input.clone_from(own);
                }
            }
            for output in node.output.iter_mut().filter(|output| !output.is_empty()) {
                let own = self.editor.fresh();
                known.insert(std::mem::replace(output, own.clone()), own);
            }
            self.editor.push(node);
        }
        let Interface { x, output } = &self.interface;
        known.remove(output).ok_or_else(|| {
            self.editor.model().interface_error(format!(
                "output {output} does not depend on input {x}: name another input or output"
            ))
        })
    }

    /// The predictions of each draw, in f64.
    fn draws(&mut self, predictions: &str) -> Vec<String> {
        let n = self.options.n_draws;
        let n_draws = i64::try_from(n).unwrap_or(i64::MAX);
        let by_draw = [&[n_draws], self.rows.as_slice()].concat();
        let by_draw = self.reshaped(predictions, by_draw);
        let draw = |index: i64| {
            let index = self.editor.index(index);
            let draw = self.editor.node("Gather", &[&by_draw, &index], vec![int("axis", 0)]);
            self.wide(&draw)
        };
        (0..n_draws).map(draw).collect()
    }

    /// `1 / n sum_m (e_m - center)^2`, rounded once.
    fn scatter(&mut self, draws: &[String], center: &str, n: usize, name: &str) {
        let square = |draw: &String| {
            let apart = self.op("Sub", &[draw, center]);
            self.op("Mul", &[&apart, &apart])
        };
        let squares: Vec<String> = draws.iter().map(square).collect();
        let sum = self.sum(&squares);
        let mean = self.over(&sum, n);
        self.narrow_to(&mean, name);
    }

    fn next(&mut self, [x, epsilon, x0_hat]: [&str; 3]) {
        let (first, second) = match self.options.update {
            Update::Ddim => (self.op("Mul", &[NEXT_A, x0_hat]), self.op("Mul", &[NEXT_S, epsilon])),
            Update::DpmSolverPp2m => {
                let earlier = self.wide(EARLIER);
                let apart = self.op("Sub", &[x0_hat, &earlier]);
                let apart = self.op("Mul", &[WEIGHT, &apart]);
                let data = self.op("Add", &[x0_hat, &apart]);
                (self.op("Mul", &[KEEP, x]), self.op("Mul", &[GAIN, &data]))
            }
        };
        let sum = self.op("Add", &[&first, &second]);
        self.narrow_to(&sum, NEXT);
    }

    /// Sum, from the first to the last.
    fn sum(&mut self, values: &[String]) -> String {
        let mut values = values.iter();
        let first = values.next().cloned().unwrap_or_default();
        values.fold(first, |sum, value| self.op("Add", &[&sum, value]))
    }

    fn over(&mut self, value: &str, n: usize) -> String {
        let n = self.editor.constant(&Tensor::scalar_f64(n as f64));
        self.op("Div", &[value, &n])
    }

    fn op(&mut self, op: &str, inputs: &[&str]) -> String {
        self.editor.node(op, inputs, Vec::new())
    }

    fn reshaped(&mut self, value: &str, lengths: Vec<i64>) -> String {
        let lengths = self.editor.vector(&lengths);
        self.op("Reshape", &[value, &lengths])
    }

    fn name(&mut self, value: &str, name: &str) {
        self.editor.node_to("Identity", &[value], Vec::new(), name);
    }

    fn wide(&mut self, value: &str) -> String {
        let to = int("to", i64::from(ElementType::F64.to_onnx()));
        self.editor.node("Cast", &[value], vec![to])
    }

    fn narrow(&mut self, value: &str) -> String {
        let narrow = self.editor.fresh();
        self.narrow_to(value, &narrow);
        narrow
    }

    fn narrow_to(&mut self, value: &str, name: &str) {
        let to = int("to", i64::from(ElementType::F32.to_onnx()));
        self.editor.node_to("Cast", &[value], vec![to], name);
    }
}

/// `[-1, c, h, w]` of states of these axes, and the axis and number of the channels of which the output has twice as many;
/// `None` where it has another shape.
fn same_but_for_channels(x: &[Dim], output: &[Dim]) -> Option<(Vec<i64>, Option<Cut>)> {
    let rows = lengths(x)?;
    if x.first() != Some(&Dim::Batch(1)) || output.len() != x.len() || output.first() != x.first() {
        return None;
    }
    let mut cut = None;
    for (axis, (own, all)) in x.iter().zip(output).enumerate().skip(1) {
        match (own, all) {
            (own, all) if own == all => {}
            (Dim::Fixed(own), Dim::Fixed(all)) if *all == 2 * own && cut.is_none() => {
                cut = Some((i64::try_from(axis).ok()?, i64::try_from(*own).ok()?));
            }
            _ => return None,
        }
    }
    Some((rows, cut))
}
