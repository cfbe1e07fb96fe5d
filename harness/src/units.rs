//! Newtypes that every layer shares, so that a loop index can never be read as a training time.

use std::fmt;

/// Position in the sampling loop: 0 is the first, noisiest step and `n_steps - 1` the last.
///
/// It never converts to a [`Timestep`] by itself: ask the [`crate::schedule::TimestepGrid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub u32);

/// Training time `t`, 0-based: `alpha_bar_0 = 1 - beta_0`. Range `0..n_train_steps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestep(pub u32);

/// Global number of a generated sample. With the seed it fixes `x_T`, the class and every draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleId(pub u64);

/// Number of a fixed block of consecutive sample ids: the unit of work and of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub u64);

/// Class number as the network takes it. `ClassLabel(n_classes)` is the null class where one exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassLabel(pub u32);

impl fmt::Display for StepIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.0)
    }
}

impl fmt::Display for Timestep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t={}", self.0)
    }
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Number of function evaluations per image, by what asked for them. Counted at the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Nfe {
    /// Evaluations that move the trajectory.
    pub trajectory: u64,
    /// Evaluations that an uncertainty estimator asked for.
    pub estimator: u64,
    /// Reverse passes (vector-Jacobian products), counted beside the forward passes they contain.
    pub gradient: u64,
}

/// What a network evaluation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NfeKind {
    /// It moves the trajectory.
    Trajectory,
    /// It feeds an uncertainty estimator.
    Estimator,
    /// It is a reverse pass.
    Gradient,
}

impl Nfe {
    /// Adds `n` evaluations of `kind`.
    pub fn add(&mut self, kind: NfeKind, n: u64) {
        match kind {
            NfeKind::Trajectory => self.trajectory += n,
            NfeKind::Estimator => self.estimator += n,
            NfeKind::Gradient => self.gradient += n,
        }
    }
}
