//! Which input is what, by element type, rank and name.

use super::{Hints, sizes};
use crate::config::model_yaml::Layout;
use crate::graph::{ElementType, Model, Port};

const TIMES: [&str; 10] = [
    "t",
    "timestep",
    "timesteps",
    "time",
    "times",
    "sigma",
    "sigmas",
    "noise_labels",
    "c_noise",
    "noise_level",
];
const CLASSES: [&str; 7] = ["y", "label", "labels", "class", "classes", "class_labels", "context"];

/// Ports of a graph, by role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    x: Port,
    t: Port,
    y: Option<Port>,
    conditions: Vec<String>,
    output: Port,
}

/// Names and sizes, and a first guess of what the graph cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) x: String,
    pub(super) t: String,
    pub(super) y: Option<String>,
    /// Inputs that are neither state, time nor class.
    pub(super) conditions: Vec<String>,
    pub(super) output: String,
    pub(super) layout: Layout,
    pub(super) image: [usize; 3],
    pub(super) classes: Option<u32>,
    pub(super) guess: Guess,
    pub(super) check: Vec<String>,
}

/// What the network predicts, over which schedule, and what it is told, as YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) prediction: &'static str,
    pub(super) schedule: &'static str,
    pub(super) time: &'static str,
}

fn rank(port: &Port) -> Option<usize> {
    port.dims.as_ref().map(Vec::len)
}

fn named(port: &Port, names: &[&str]) -> bool {
    names.contains(&port.name.to_lowercase().as_str())
}

fn list(ports: &[Port]) -> String {
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The one of `ports`, else the one with a known name.
fn choose(ports: &[Port], names: &[&str]) -> Option<Port> {
    match ports {
        [port] => Some(port.clone()),
        several => several.iter().find(|port| named(port, names)).cloned(),
    }
}

/// `[b, c, h, w]` of floats.
fn is_images(port: &Port) -> bool {
    port.element.is_float() && rank(port) == Some(4)
}

fn state(inputs: &[Port]) -> Result<Port, String> {
    let states: Vec<Port> = inputs.iter().filter(|port| is_images(port)).cloned().collect();
    let x = choose(&states, &["sample", "x", "x_t", "noisy", "input", "latent"]);
    x.ok_or_else(|| {
        format!(
            "of the inputs {}, none or several are a float state [b, c, h, w] (found: {}): describe it by hand",
            list(inputs),
            list(&states)
        )
    })
}

/// The time beside the state `x`: by its name, else the one input that could be it and is no class.
fn time(inputs: &[Port], x: &Port) -> Result<Port, String> {
    let flat = |port: &&Port| port.name != x.name && rank(port).is_some_and(|rank| rank <= 1);
    let flats: Vec<Port> = inputs.iter().filter(flat).cloned().collect();
    let t = flats.iter().find(|port| named(port, &TIMES)).cloned().or_else(|| {
        let rest: Vec<Port> = flats.iter().filter(|p| !named(p, &CLASSES)).cloned().collect();
        choose(&rest, &[])
    });
    t.ok_or_else(|| no_time(inputs))
}

fn output(outputs: &[Port]) -> Result<Port, String> {
    let images: Vec<Port> = outputs.iter().filter(|port| is_images(port)).cloned().collect();
    let output =
        choose(&images, &["eps", "epsilon", "out_sample", "noise_pred", "output", "denoised"]);
    output.ok_or_else(|| {
        format!(
            "of the outputs {}, none or several are [b, c, h, w]: describe it by hand",
            list(outputs)
        )
    })
}

/// The input that takes a class: whole numbers `[b]`, or one-hot numbers `[b, k]`, which its name must say.
fn class(ports: &[Port]) -> Option<Port> {
    let whole = |port: &&Port| port.element.is_integer() && rank(port) == Some(1);
    match ports {
        [only] if whole(&only) => Some(only.clone()),
        several => {
            let class = |port: &&Port| whole(port) || one_hot(port);
            several.iter().filter(class).find(|port| named(port, &CLASSES)).cloned()
        }
    }
}

fn one_hot(port: &Port) -> bool {
    port.element.is_float() && rank(port) == Some(2)
}

/// Why none of the inputs is the time.
fn no_time(inputs: &[Port]) -> String {
    let by_name = inputs.iter().find(|port| named(port, &TIMES));
    match by_name.filter(|port| rank(port).is_some_and(|rank| rank > 1)) {
        Some(t) => format!(
            "`{}` has shape {}, expected a time [batch], [1] or []: export it as [batch]",
            t.name,
            sizes::shown(&sizes::axes(t))
        ),
        None => format!(
            "no input of {} is a time of rank 0 or 1 by its name: describe it by hand",
            list(inputs)
        ),
    }
}

impl Ports {
    /// Reads the roles.
    pub(super) fn of(model: &Model) -> Result<Self, String> {
        let inputs = model.inputs();
        let x = state(&inputs)?;
        let t = time(&inputs, &x)?;
        let rest: Vec<Port> =
            inputs.into_iter().filter(|p| p.name != x.name && p.name != t.name).collect();
        let y = class(&rest);
        let told = |port: &&Port| Some(*port) != y.as_ref();
        let conditions = rest.iter().filter(told).map(|port| port.name.clone()).collect();
        let output = output(&model.outputs())?;
        Ok(Self { x, t, y, conditions, output })
    }

    /// Sizes and guesses.
    pub(super) fn read(&self, hints: &Hints) -> Result<Found, String> {
        let (layout, image) = sizes::state((&self.x, &self.output), hints.image)?;
        let classes = self.classes(hints)?;
        let guess = self.guess();
        let mut check = vec![
            format!(
                "prediction: {} is a guess; docs/your-model.md lists what there is",
                guess.prediction
            ),
            format!("schedule: {} is a guess: it must be that of training", guess.schedule),
            format!("time: {} is a guess from the name `{}`", guess.time, self.t.name),
            "provenance: training data and licence".to_owned(),
        ];
        if let (Some(y), Some(n), None) = (&self.y, classes, hints.classes) {
            check.push(format!(
                "task.classes: {n} is the width of `{}`, one-hot; one that stands for no class is none of them",
                y.name
            ));
        }
        let name = |port: &Port| port.name.clone();
        let (x, t, y) = (name(&self.x), name(&self.t), self.y.as_ref().map(name));
        let (conditions, output) = (self.conditions.clone(), name(&self.output));
        Ok(Found { x, t, y, conditions, output, layout, image, classes, guess, check })
    }

    /// Number of classes: as the caller says, else the width of one-hot numbers.
    fn classes(&self, hints: &Hints) -> Result<Option<u32>, String> {
        let Some(y) = &self.y else {
            return match hints.classes {
                Some(_) => Err(format!(
                    "--classes: no input takes a class: it would be whole numbers [batch], or one-hot numbers [batch, k] called {}",
                    CLASSES.join(", ")
                )),
                None => Ok(None),
            };
        };
        let width = one_hot(y).then(|| sizes::axes(y)[1]).flatten();
        let width = width.and_then(|k| u32::try_from(k).ok());
        match (hints.classes, width) {
            (Some(n), Some(k)) if n > k => {
                Err(format!("--classes {n}: `{}` has room for {k}", y.name))
            }
            (None, None) => Err(format!("`{}` takes classes: say how many by --classes", y.name)),
            (given, width) => Ok(given.or(width)),
        }
    }

    fn guess(&self) -> Guess {
        const DDPM: &str =
            "{kind: linear, beta_start: 1.0e-4, beta_end: 0.02, n_train_steps: 1000}";
        let (t, output) = (self.t.name.to_lowercase(), self.output.name.to_lowercase());
        let word = |names: &[&str]| names.iter().any(|name| output.contains(name));
        if t.contains("sigma") {
            return Guess {
                prediction: "denoised",
                schedule: "{kind: edm}",
                time: "{kind: sigma}",
            };
        }
        if t.contains("noise") && self.t.element != ElementType::I64 {
            return Guess {
                prediction: "edm_raw",
                schedule: "{kind: edm}",
                time: "{kind: c_noise}",
            };
        }
        if word(&["velocity", "flow"]) {
            return Guess {
                prediction: "velocity",
                schedule: "{kind: flow}",
                time: "{kind: flow}",
            };
        }
        let prediction = match () {
            () if word(&["v_pred"]) => "v",
            () if word(&["x0", "denoised", "clean"]) => "x0",
            () if word(&["score"]) => "score",
            () => "epsilon",
        };
        Guess { prediction, schedule: DDPM, time: "{kind: train_step}" }
    }
}
