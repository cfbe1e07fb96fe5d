//! Units of work. Pure: nothing here reads a file or a clock.
//!
//! [`Work`] is what fixes images, scores, maps and features: arms over blocks of sample ids. Resume is [`outstanding`],
//! and sharding is [`Shard`]: both are subtractions from work that never changes.

pub mod arm;
pub mod block;
pub mod error;
pub mod identity;
pub mod real_images;
pub mod shard;
pub mod slurm;
pub mod threshold_set;
pub mod version;
pub mod work;

pub use arm::{ArmPlan, LateWindow, MapsPlan, NoiseLevel, Start};
pub use block::{Block, PlacedArm, outstanding};
pub use error::PlanError;
pub use identity::{
    ImagesIdentity, ModelIdentity, PosteriorIdentity, RealIdentity, ReferenceIdentity,
    StartsIdentity,
};
pub use shard::Shard;
pub use slurm::SlurmJobs;
pub use threshold_set::{SetBlock, ThresholdKind, ThresholdPlan, ThresholdSet};
pub use work::Work;
