//! What the settings of every estimator must answer.

use super::{Estimator, EstimatorError, Window};
use crate::fault::Fault;
use crate::model::DenoiserSpec;

/// What an estimator's settings know. The enum of the kinds hands every question on.
pub trait EstimatorSettings {
    /// Takes out what the file says of the things that every estimator has: in a plan they stand once, in a [`Look`].
    fn take(&mut self) -> Given;

    /// Fills the estimator's own values from `defaults`.
    fn fill(&mut self, defaults: &Defaults);

    /// Window of an estimator whose file gives none.
    fn default_window(&self, defaults: &Defaults) -> Window;

    /// Own values that make no estimator, keys relative to the estimator's.
    fn faults(&self) -> Vec<Fault>;

    /// What the harness must know of it.
    fn facts(&self) -> EstimatorFacts;

    /// Why it cannot run on a model; `None` where it can.
    fn not_applicable(&self, model: &DenoiserSpec) -> Option<String>;

    /// The estimator.
    ///
    /// # Errors
    /// [`EstimatorError`] for values that make none.
    fn build(&self, look: &Look<'_>) -> Result<Box<dyn Estimator>, EstimatorError>;
}

/// What a file may say of any estimator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Name in tables; the kind where left out.
    pub name: Option<String>,
    /// The paper's `M`.
    pub n_draws: Option<u32>,
    /// Loop indices at which it looks.
    pub window: Option<Window>,
}

/// What the harness must know of an estimator. Nothing of it has a default: one that has not decided does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EstimatorFacts {
    /// Whether it asks the network for products with its Jacobian.
    pub needs_gradient: bool,
    /// Whether elements of its maps can lie below zero: the share of those that do is then kept beside the scores.
    pub signed: bool,
}

/// Values of estimators whose file leaves them out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Defaults {
    /// The paper's `M`.
    pub n_draws: u32,
    /// Window of the re-noising estimators.
    pub window: Window,
    /// Dropout probability of MC-Dropout.
    pub dropout_p: f64,
    /// Window of MC-Dropout.
    pub dropout_window: Window,
}

/// Under which name, how often and where an estimator looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look<'a> {
    /// Name in tables.
    pub name: &'a str,
    /// Network evaluations a step: the paper's `M`.
    pub n_draws: u32,
    /// Loop indices at which it looks.
    pub window: Window,
}
