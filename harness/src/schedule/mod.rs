//! Noise schedules and timestep grids.
