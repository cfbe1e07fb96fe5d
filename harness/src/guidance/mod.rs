//! Guidance rules: each rewrites `epsilon_hat` before a sampler steps with it.
