//! Commands: one a file. The only door to `clap` and `indicatif`.
