//! Published protocols, one a file. Pure.

pub mod controls;
pub mod filtering;
pub mod filtering_rows;
pub mod guidance;
pub mod reconstruction;
pub mod reconstruction_rows;
pub mod sparsification_audit;

pub use filtering::{Filtering, FilteringOutcome, Kept, MethodOutcome};
pub use filtering_rows::{MethodFacts, RunFacts, rows};
