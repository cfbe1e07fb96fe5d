//! Noise schedules and timestep grids: how much noise there is at a training time, and which
//! training times a sampler of `N` steps visits.

mod error;
mod noise_schedule;
mod settings;
mod timestep_grid;

pub use error::ScheduleError;
pub use noise_schedule::NoiseSchedule;
pub use settings::{GridConfig, ScheduleConfig};
pub use timestep_grid::TimestepGrid;
