//! Noise schedules and grids: how much noise there is at a time, and which times a sampler of `N` steps visits.

mod continuous;
mod error;
mod grid;
mod noise_level;
mod noise_schedule;
mod settings;
mod time_axis;
mod timestep_grid;
mod train_steps;
mod transfer;

pub use continuous::EdmRange;
pub use error::ScheduleError;
pub use grid::GridConfig;
pub use noise_level::{NoiseLevel, NoisePoint};
pub use noise_schedule::NoiseSchedule;
pub use settings::ScheduleConfig;
pub use time_axis::TimeAxis;
pub use timestep_grid::TimestepGrid;
pub use transfer::transfer;
