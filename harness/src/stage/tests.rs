//! All stages on the model with a closed form.

mod bench;
mod digits;
mod integrity;
mod outcome;
mod pinned;
mod real;
mod step_graph;
mod turns;

pub(super) use bench::{Bench, one_extractor, one_network};
