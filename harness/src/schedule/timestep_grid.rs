//! Which training times a sampler visits.

use super::{NoiseSchedule, ScheduleError};
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

    /// `t_i = round((T - 1) (N - i) / N)`, half to even: the grid of DPM-Solver++.
    ///
    /// # Errors
    /// [`ScheduleError::Steps`] unless `1 <= n_steps < n_train_steps`: with more steps two of them
    /// would fall on the same training time.
    pub fn linspace(n_train_steps: u32, n_steps: u32) -> Result<Self, ScheduleError> {
        check_steps("linspace", n_steps, n_train_steps.saturating_sub(1), n_train_steps)?;
        let last = u64::from(n_train_steps - 1);
        let at =
            |index: u32| half_even_ratio(last * u64::from(n_steps - index), u64::from(n_steps));
        Ok(Self { timesteps: (0..n_steps).map(|index| Timestep(at(index))).collect() })
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

    /// `alpha_bar` at every step, after checking that the grid belongs to the schedule.
    ///
    /// # Errors
    /// [`ScheduleError::GridBeyondSchedule`] when it does not.
    pub fn alpha_bars(&self, schedule: &NoiseSchedule) -> Result<Vec<f64>, ScheduleError> {
        let last = schedule.last();
        if self.timesteps[0] > last {
            return Err(ScheduleError::GridBeyondSchedule { t: self.timesteps[0].0, last: last.0 });
        }
        Ok(self.timesteps.iter().map(|t| schedule.alpha_bar(*t)).collect())
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

/// `numerator / denominator` rounded to the nearest integer, halves to the even one, exactly.
fn half_even_ratio(numerator: u64, denominator: u64) -> u32 {
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    let up = match (2 * remainder).cmp(&denominator) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
        std::cmp::Ordering::Less => false,
    };
    u32::try_from(quotient + u64::from(up)).unwrap_or(u32::MAX)
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
    fn linspace_grid_has_the_published_times() {
        let fifty = times(&TimestepGrid::linspace(1000, 50).unwrap());
        assert_eq!(fifty[..3], [999, 979, 959]);
        assert_eq!(fifty[44..], [120, 100, 80, 60, 40, 20]);
        // 999 / 2 = 499.5 is the one half on this grid: it goes to the even neighbour.
        assert_eq!(fifty[25], 500);
        assert_eq!(times(&TimestepGrid::linspace(1000, 999).unwrap())[998], 1);
    }

    #[test]
    fn all_grids_fall_strictly_and_stay_inside() {
        for n_steps in 1..1000 {
            for grid in [
                TimestepGrid::leading(1000, n_steps, 0).unwrap(),
                TimestepGrid::linspace(1000, n_steps).unwrap(),
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
        let message = TimestepGrid::linspace(1000, 1000).unwrap_err().to_string();
        assert!(message.contains("set sampler.n_steps to 999 or less"), "{message}");
        assert!(TimestepGrid::leading(1000, 0, 0).is_err());
        assert!(TimestepGrid::leading(1000, 1001, 0).is_err());
        let message = TimestepGrid::leading(1000, 1000, 1).unwrap_err().to_string();
        assert!(message.contains("offset 1 makes the first step t=1000"), "{message}");
        let short = NoiseSchedule::linear(1e-4, 0.02, 100).unwrap();
        let grid = TimestepGrid::leading(1000, 50, 0).unwrap();
        assert!(grid.alpha_bars(&short).is_err());
    }
}
