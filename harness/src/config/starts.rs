//! Where trajectories start, where not by the seed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// States and classes by sample id, from a file: those of somebody else's run, or those that `dubench starts` wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartsConfig {
    /// `.npz` with `x_T [n, c, h, w]`, f32, standard normal, and `y [n]` for networks with classes; relative to the
    /// experiment file.
    pub path: PathBuf,
}
