//! generate, features, evaluate: parts in, parts out.

pub mod statistics;
pub mod trajectory;
