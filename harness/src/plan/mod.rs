//! From an experiment to units of work. Pure: nothing here reads a file or a clock.
//!
//! The same experiment with the same models, features and reference is the same plan id, on every
//! machine. Resume is [`outstanding`], and sharding is [`Shard`]: both are subtractions from a plan
//! that never changes.

pub mod arm;
pub mod block;
pub mod canonical;
pub mod error;
pub mod identity;
pub mod method;
pub mod print;
pub mod resolve;
mod resolve_arms;
pub mod shard;
pub mod slurm;
pub mod threshold_set;
pub mod version;

pub use arm::{ArmPlan, ArmTask, PlacedArm, SweepCell};
pub use block::{Block, outstanding};
pub use error::PlanError;
pub use identity::{ModelIdentity, PlanInputs, ReferenceIdentity};
pub use method::{ControlPlan, ControlRule, EstimatorPlan, EstimatorRule};
pub use resolve::{Plan, PlanOptions};
pub use shard::Shard;
pub use slurm::SlurmJobs;
pub use threshold_set::{SetBlock, SetStatistic, ThresholdKind, ThresholdPlan, ThresholdSet};
