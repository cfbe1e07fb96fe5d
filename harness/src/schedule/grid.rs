//! Grids as files name them: which times the steps of a sampler visit.

use serde::{Deserialize, Serialize};

use super::{NoisePoint, NoiseSchedule, ScheduleError, TimeAxis, TimestepGrid};
use crate::fault::Fault;

/// Map from loop index to time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum GridConfig {
    /// `t_i = (N - 1 - i) floor(T / N) + offset`.
    Leading {
        /// Added to every time. 0 for the pixel models of the paper.
        #[serde(default)]
        offset: u32,
    },
    /// `t_i = round_half_even(T - i T / N) - 1`: it starts at the noisiest training step.
    Trailing {},
    /// `N` training steps equally spaced from `T - 1` to 0, both included: the `linspace` of DDIM in other programs.
    DdimLinspace {},
    /// `N + 1` of them without the last: `t_i = round_half_even((T - 1) (N - i) / N)`, the `linspace` of DPM-Solver.
    DpmLinspace {},
    /// `N` times equally spaced from the noisiest one to `t_min`: for a continuous process.
    Uniform {
        /// Time of the last step, above 0; 0.001 in the reference (arXiv:2011.13456).
        #[serde(default = "t_min")]
        t_min: f64,
    },
    /// `sigma_i` of EDM (Eq. 5, arXiv:2206.00364) over the schedule's own range.
    Karras {},
    /// The times of a rectified flow, drawn to noise by the schedule's `shift`.
    FlowShift {},
}

fn t_min() -> f64 {
    1e-3
}

impl GridConfig {
    /// The grid that a schedule of these times has by itself.
    pub fn own(axis: TimeAxis) -> Self {
        match axis {
            TimeAxis::Steps(_) | TimeAxis::Unread => Self::Leading { offset: 0 },
            TimeAxis::Continuous => Self::Uniform { t_min: t_min() },
            TimeAxis::Sigma => Self::Karras {},
            TimeAxis::Flow => Self::FlowShift {},
        }
    }

    /// Kind, as in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Leading { .. } => "leading",
            Self::Trailing {} => "trailing",
            Self::DdimLinspace {} => "ddim_linspace",
            Self::DpmLinspace {} => "dpm_linspace",
            Self::Uniform { .. } => "uniform",
            Self::Karras {} => "karras",
            Self::FlowShift {} => "flow_shift",
        }
    }

    /// What it spaces; training steps of any number are `Steps(0)`.
    fn spaces(&self) -> TimeAxis {
        match self {
            Self::Leading { .. }
            | Self::Trailing {}
            | Self::DdimLinspace {}
            | Self::DpmLinspace {} => TimeAxis::Steps(0),
            Self::Uniform { .. } => TimeAxis::Continuous,
            Self::Karras {} => TimeAxis::Sigma,
            Self::FlowShift {} => TimeAxis::Flow,
        }
    }

    /// Why there is no grid of `n_steps` over times of this kind, keys relative to the sampler's.
    pub fn faults(&self, axis: TimeAxis, n_steps: u32) -> Vec<Fault> {
        if let Err(error) = self.check_axis(axis) {
            return vec![Fault::new("grid", error.to_string())];
        }
        let most = axis.n_train_steps().unwrap_or(MOST_STEPS);
        if n_steps == 0 || n_steps > most {
            let of = if axis.n_train_steps().is_some() { "training times" } else { "times" };
            let message = format!("{n_steps} steps over {most} {of}: use 1..={most}");
            return vec![Fault::new("n_steps", message)];
        }
        if let Self::Uniform { t_min } = self
            && !(*t_min > 0.0 && t_min.is_finite())
        {
            return vec![Fault::new("grid.t_min", format!("{t_min} is not above 0"))];
        }
        let Some(n_train_steps) = axis.n_train_steps() else { return Vec::new() };
        let Err(error) = self.over_steps(n_train_steps, n_steps) else { return Vec::new() };
        vec![match self {
            Self::Leading { offset } => {
                let most = (n_train_steps / n_steps).saturating_sub(1);
                let message = format!(
                    "offset {offset} moves the first step past the last training time: set {most} or less"
                );
                Fault::new("grid.offset", message)
            }
            _ => Fault::new("n_steps", error.to_string()),
        }]
    }

    /// The places of `n_steps` steps, noisiest first.
    ///
    /// # Errors
    /// [`ScheduleError`] where there is no such grid.
    pub fn places(
        &self,
        schedule: &NoiseSchedule,
        n_steps: u32,
    ) -> Result<Vec<NoisePoint>, ScheduleError> {
        let axis = schedule.axis();
        self.check_axis(axis)?;
        if n_steps == 0 {
            let (spacing, got, max) = (self.kind(), 0, MOST_STEPS);
            return Err(ScheduleError::Steps { spacing, got, max, n_train_steps: MOST_STEPS });
        }
        if let Some(n_train_steps) = axis.n_train_steps() {
            let grid = self.over_steps(n_train_steps, n_steps)?;
            return Ok(grid.timesteps().iter().map(|t| schedule.at(*t)).collect());
        }
        let time = |index: u32| match self {
            Self::Uniform { t_min } => {
                let top = schedule.noisiest().t;
                top + f64::from(index) / f64::from(n_steps.max(2) - 1) * (t_min - top)
            }
            _ => schedule.own_time(index, n_steps).unwrap_or_default(),
        };
        Ok((0..n_steps).map(|index| schedule.place(time(index))).collect())
    }

    fn check_axis(&self, axis: TimeAxis) -> Result<(), ScheduleError> {
        let spaces = self.spaces();
        let fits = std::mem::discriminant(&spaces) == std::mem::discriminant(&axis);
        if fits || axis == TimeAxis::Unread {
            return Ok(());
        }
        Err(ScheduleError::GridOfOther {
            grid: self.kind(),
            wants: spaces.words(),
            has: axis.words(),
            instead: axis.own_grid(),
        })
    }

    fn over_steps(&self, n_train_steps: u32, n_steps: u32) -> Result<TimestepGrid, ScheduleError> {
        match self {
            Self::Leading { offset } => TimestepGrid::leading(n_train_steps, n_steps, *offset),
            Self::Trailing {} => TimestepGrid::trailing(n_train_steps, n_steps),
            Self::DdimLinspace {} => TimestepGrid::ddim_linspace(n_train_steps, n_steps),
            Self::DpmLinspace {} => TimestepGrid::dpm_linspace(n_train_steps, n_steps),
            Self::Uniform { .. } | Self::Karras {} | Self::FlowShift {} => {
                Err(ScheduleError::GridOfOther {
                    grid: self.kind(),
                    wants: self.spaces().words(),
                    has: "training steps",
                    instead: "leading",
                })
            }
        }
    }
}

/// Steps where time is continuous, at most.
const MOST_STEPS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::EdmRange;

    #[test]
    fn the_old_word_is_refused_with_its_two_spellings() {
        let error = serde_json::from_str::<GridConfig>(r#"{"kind": "linspace"}"#).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("ddim_linspace") && message.contains("dpm_linspace"), "{message}");
    }

    #[test]
    fn a_grid_of_another_kind_of_time_is_refused_with_one_that_fits() {
        let range = EdmRange { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0, sigma_data: 0.5 };
        let edm = NoiseSchedule::edm(range).unwrap();
        let leading = GridConfig::Leading { offset: 0 };
        let message = leading.places(&edm, 5).unwrap_err().to_string();
        assert!(message.contains("set grid to {kind: karras}"), "{message}");
        assert_eq!(leading.faults(TimeAxis::Sigma, 5)[0].key, "grid");
        assert_eq!(leading.faults(TimeAxis::Unread, 5), []);
        let karras = GridConfig::own(edm.axis());
        assert_eq!(karras.places(&edm, 18).unwrap().len(), 18);
        let linear = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        assert!(karras.places(&linear, 18).is_err());
    }

    #[test]
    fn a_continuous_time_is_spaced_from_its_end_to_the_smallest() {
        let vp = NoiseSchedule::vp_continuous(0.1, 20.0, 1.0).unwrap();
        let times: Vec<f64> = GridConfig::own(vp.axis())
            .places(&vp, 4)
            .unwrap()
            .iter()
            .map(|place| place.t)
            .collect();
        for (got, expected) in times.iter().zip([1.0, 0.667, 0.334, 0.001]) {
            assert!((got - expected).abs() < 1e-12, "{times:?}");
        }
    }
}
