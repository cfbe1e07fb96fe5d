//! From an experiment to units of work. Pure.
