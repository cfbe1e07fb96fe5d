//! Published protocols, one a folder: what is written down (`config`, `faults`), which arms that makes (`plan`), what is
//! computed of them (`evaluate`), and how it is shown (`report`). Pure: what a protocol reads comes through [`Evidence`].
//!
//! To add one: a folder with a type that implements [`Protocol`], `mod` here, a line in the list of [`ProtocolConfig`].
//! Worked example, run as a test: `harness/tests/worked/protocol.rs`.

pub mod contract;
pub mod error;
pub mod evidence;
#[cfg(test)]
mod example;
pub mod filtering;
pub mod generative;
pub mod guidance;
mod kinds;
pub mod pairs;
pub mod precision_recall;
pub mod reconstruction;
pub mod rows;
pub mod stepwise;
pub mod timing;

pub use contract::{Needs, PosteriorNeed, Protocol, Scope, WallTimes};
pub use error::ProtocolError;
pub use evidence::{
    ArmMaps, ArmScores, ArmTimes, BlockTime, Evidence, MethodColumn, MethodMaps, Numbers, Shown,
    StepScores, Texts,
};
pub use kinds::ProtocolConfig;
pub use rows::RunFacts;
