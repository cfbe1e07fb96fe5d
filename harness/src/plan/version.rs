//! Versions of the code behind the digits: part of the ids of plans and stages.

/// Version of everything that turns a plan into digits: draws, update rules, estimators. Raised when
/// the same plan would give other images or maps, so that old parts are not mixed with new ones.
pub const GENERATE_VERSION: u32 = 1;

/// As [`GENERATE_VERSION`], for features.
pub const FEATURES_VERSION: u32 = 1;

/// As [`GENERATE_VERSION`], for what is computed from scores and features.
pub const EVALUATE_VERSION: u32 = 2;

/// As [`EVALUATE_VERSION`], for what filters alone compute: of their plans alone.
pub const FILTERING_VERSION: u32 = 1;

/// As [`GENERATE_VERSION`], for maps of threshold sets and the thresholds that are taken of them.
pub const THRESHOLDS_VERSION: u32 = 1;

/// As [`GENERATE_VERSION`], for the share of maps below zero: of plans that have estimators with such maps alone.
pub const NEGATIVES_VERSION: u32 = 1;
