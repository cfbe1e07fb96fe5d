//! Which training times a sampler visits.

use super::{NoisePoint, NoiseSchedule, ScheduleError};
use crate::units::{StepIndex, Timestep};

/// The training times of `N` sampling steps, strictly falling: the only bridge from a loop index to
/// a training time.
///
/// DIFFERENCE (D15): the authors' guidance code looks `alpha_bar` up at the loop index itself. Here
/// a [`StepIndex`] and a [`Timestep`] are different types and only this grid converts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestepGrid {
    timesteps: Vec<Timestep>,
}

impl TimestepGrid {
    /// `t_i = (N - 1 - i) floor(T / N) + offset`: the grid of DDIM.
    ///
    /// # Errors
    /// [`ScheduleError`] unless `1 <= n_steps <= n_train_steps` and the offset stays inside.
    ///
    /// # Examples
    /// ```
    /// use dubench::schedule::TimestepGrid;
    /// use dubench::units::{StepIndex, Timestep};
    ///
    /// let grid = TimestepGrid::leading(1000, 50, 0)?;
    /// assert_eq!(grid.timestep(StepIndex(0)), Timestep(980));
    /// assert_eq!(grid.timestep(StepIndex(45)), Timestep(80));
    /// # Ok::<(), dubench::schedule::ScheduleError>(())
    /// ```
    pub fn leading(n_train_steps: u32, n_steps: u32, offset: u32) -> Result<Self, ScheduleError> {
        check_steps("leading", n_steps, n_train_steps, n_train_steps)?;
        let stride = n_train_steps / n_steps;
        let first = u64::from(n_steps - 1) * u64::from(stride) + u64::from(offset);
        let last = n_train_steps - 1;
        if first > u64::from(last) {
            return Err(ScheduleError::Offset { offset, first, last });
        }
        let at = |index: u32| Timestep((n_steps - 1 - index) * stride + offset);
        Ok(Self { timesteps: (0..n_steps).map(at).collect() })
    }

    /// `t_i = round((N - i) ((T - 1) / N))`, half to even: the grid of DPM-Solver++.
    ///
    /// # Why is the quotient rounded to f64 before it is multiplied?
    /// The reference grid is `numpy.linspace`, which does so. In exact arithmetic some values are
    /// halves (N = 26 of 1000) and would fall on the other neighbour.
    ///
    /// # Errors
    /// [`ScheduleError::Steps`] unless `1 <= n_steps < n_train_steps`: with more steps two of them
    /// would fall on the same training time.
    pub fn dpm_linspace(n_train_steps: u32, n_steps: u32) -> Result<Self, ScheduleError> {
        check_steps("dpm_linspace", n_steps, n_train_steps.saturating_sub(1), n_train_steps)?;
        let stride = f64::from(n_train_steps - 1) / f64::from(n_steps);
        let at = |index: u32| nearest_time(f64::from(n_steps - index) * stride);
        Ok(Self { timesteps: (0..n_steps).map(at).collect() })
    }

    /// `t_i = round((N - 1 - i) (T - 1) / (N - 1))`, half to even: from `T - 1` to 0, both included. One step is asked at 0.
    ///
    /// # Errors
    /// [`ScheduleError::Steps`] unless `1 <= n_steps <= n_train_steps`.
    pub fn ddim_linspace(n_train_steps: u32, n_steps: u32) -> Result<Self, ScheduleError> {
        check_steps("ddim_linspace", n_steps, n_train_steps, n_train_steps)?;
        let stride = f64::from(n_train_steps - 1) / f64::from(n_steps.max(2) - 1);
        let at = |index: u32| nearest_time(f64::from(n_steps - 1 - index) * stride);
        Ok(Self { timesteps: (0..n_steps).map(at).collect() })
    }

    /// `t_i = round(T - i T / N) - 1`, half to even: it starts at `T - 1`.
    ///
    /// # Errors
    /// [`ScheduleError::Steps`] unless `1 <= n_steps <= n_train_steps`.
    pub fn trailing(n_train_steps: u32, n_steps: u32) -> Result<Self, ScheduleError> {
        check_steps("trailing", n_steps, n_train_steps, n_train_steps)?;
        let stride = f64::from(n_train_steps) / f64::from(n_steps);
        let at = |index: u32| {
            let end = nearest_time(f64::from(n_train_steps) - f64::from(index) * stride);
            Timestep(end.0.saturating_sub(1))
        };
        Ok(Self { timesteps: (0..n_steps).map(at).collect() })
    }

    /// Number of sampling steps `N`.
    pub fn n_steps(&self) -> u32 {
        u32::try_from(self.timesteps.len()).unwrap_or(u32::MAX)
    }

    /// Training time of loop index `index`.
    ///
    /// # Panics
    /// When `index` is not below [`TimestepGrid::n_steps`].
    pub fn timestep(&self, index: StepIndex) -> Timestep {
        self.timesteps[index.0 as usize]
    }

    /// All training times, noisiest first.
    pub fn timesteps(&self) -> &[Timestep] {
        &self.timesteps
    }

    /// The place of every step, after checking that the grid belongs to the schedule.
    ///
    /// # Errors
    /// [`ScheduleError`] when it does not.
    pub fn places(&self, schedule: &NoiseSchedule) -> Result<Vec<NoisePoint>, ScheduleError> {
        let last = schedule.last().ok_or(ScheduleError::NoTrainSteps {
            what: "a timestep grid",
            remedy: "use a grid of its own",
        })?;
        if self.timesteps[0] > last {
            return Err(ScheduleError::GridBeyondSchedule { t: self.timesteps[0].0, last: last.0 });
        }
        Ok(self.timesteps.iter().map(|t| schedule.at(*t)).collect())
    }
}

fn check_steps(
    spacing: &'static str,
    got: u32,
    max: u32,
    n_train_steps: u32,
) -> Result<(), ScheduleError> {
    if (1..=max).contains(&got) {
        return Ok(());
    }
    Err(ScheduleError::Steps { spacing, got, max, n_train_steps })
}

/// Nearest training time, halves to the even one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value lies between 0 and the last training time, which is a u32"
)]
fn nearest_time(value: f64) -> Timestep {
    Timestep(value.round_ties_even() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(grid: &TimestepGrid) -> Vec<u32> {
        grid.timesteps().iter().map(|t| t.0).collect()
    }

    #[test]
    fn leading_grids_have_the_published_times() {
        let fifty = times(&TimestepGrid::leading(1000, 50, 0).unwrap());
        assert_eq!(fifty, (0..50).rev().map(|i| 20 * i).collect::<Vec<u32>>());
        let latent = times(&TimestepGrid::leading(1000, 50, 1).unwrap());
        assert_eq!(latent, (0..50).rev().map(|i| 20 * i + 1).collect::<Vec<u32>>());
        let twelve = times(&TimestepGrid::leading(1000, 12, 0).unwrap());
        assert_eq!(twelve[..3], [913, 830, 747]);
        assert_eq!(twelve[10..], [83, 0]);
        assert_eq!(times(&TimestepGrid::leading(1000, 5, 0).unwrap()), [800, 600, 400, 200, 0]);
        assert_eq!(times(&TimestepGrid::leading(1000, 20, 0).unwrap())[..2], [950, 900]);
    }

    #[test]
    fn dpm_linspace_grid_has_the_published_times() {
        let fifty = times(&TimestepGrid::dpm_linspace(1000, 50).unwrap());
        assert_eq!(fifty[..3], [999, 979, 959]);
        assert_eq!(fifty[44..], [120, 100, 80, 60, 40, 20]);
        // 999 / 2 = 499.5 is the one half on this grid: it goes to the even neighbour.
        assert_eq!(fifty[25], 500);
        // 999 * 13 / 26 = 499.5 too, but 13 * (999 / 26) is a little less in f64: NumPy 2.4.6 says 499.
        assert_eq!(times(&TimestepGrid::dpm_linspace(1000, 26).unwrap())[13], 499);
        assert_eq!(times(&TimestepGrid::dpm_linspace(1000, 999).unwrap())[998], 1);
    }

    #[test]
    fn all_grids_fall_strictly_and_stay_inside() {
        for n_steps in 1..1000 {
            for grid in [
                TimestepGrid::leading(1000, n_steps, 0).unwrap(),
                TimestepGrid::dpm_linspace(1000, n_steps).unwrap(),
                TimestepGrid::ddim_linspace(1000, n_steps).unwrap(),
                TimestepGrid::trailing(1000, n_steps).unwrap(),
            ] {
                let times = times(&grid);
                assert_eq!(times.len(), n_steps as usize);
                assert!(times.windows(2).all(|pair| pair[0] > pair[1]));
                assert!(times[0] <= 999);
            }
        }
    }

    #[test]
    fn impossible_grids_are_refused_with_the_remedy() {
        let message = TimestepGrid::dpm_linspace(1000, 1000).unwrap_err().to_string();
        assert!(message.contains("set sampler.n_steps to 999 or less"), "{message}");
        assert!(TimestepGrid::leading(1000, 0, 0).is_err());
        assert!(TimestepGrid::leading(1000, 1001, 0).is_err());
        let message = TimestepGrid::leading(1000, 1000, 1).unwrap_err().to_string();
        assert!(message.contains("offset 1 makes the first step t=1000"), "{message}");
        let short = NoiseSchedule::linear(1e-4, 0.02, 100).unwrap();
        let grid = TimestepGrid::leading(1000, 50, 0).unwrap();
        assert!(grid.places(&short).is_err());
    }
}
