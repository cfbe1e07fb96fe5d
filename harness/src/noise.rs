//! Noise keyed by (seed, purpose, sample, step, draw).
