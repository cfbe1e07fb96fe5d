//! All stages on the model with a closed form.

mod bench;
mod digits;
mod integrity;
mod outcome;
mod pinned;
mod real;

pub(super) use bench::{Bench, one_network};
