//! DPM-Solver++(2M), midpoint form (Lu et al. 2022, Algorithm 2, arXiv:2211.01095).

use ndarray::{Array4, ArrayView4, Zip};

use serde::{Deserialize, Serialize};

use super::elementwise::of_both;
use super::{Ask, ClipX0, Sampler, SamplerError, SamplerSettings, StepPoint, Walk, step_points};
use crate::fault::Fault;
use crate::model::{ModelError, StepKind, StepRule, StepUpdate};
use crate::noise::nearest_f32;
use crate::schedule::{GridConfig, NoiseSchedule, TimeAxis, TimestepGrid};
use crate::units::StepIndex;

/// DPM-Solver++(2M) as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpmSolverPp2mSettings {
    /// Number of steps `N`.
    pub n_steps: u32,
    /// Which times the steps visit: `dpm_linspace`, as the authors' code does on all models.
    #[serde(default = "dpm_linspace")]
    pub grid: GridConfig,
}

fn dpm_linspace() -> GridConfig {
    GridConfig::DpmLinspace {}
}

impl SamplerSettings for DpmSolverPp2mSettings {
    fn n_steps(&self) -> u32 {
        self.n_steps
    }

    fn set_steps(&mut self, n_steps: u32) {
        self.n_steps = n_steps;
    }

    fn clip(&self, _clips: ClipX0) -> ClipX0 {
        ClipX0::Never
    }

    fn asks(&self) -> bool {
        false
    }

    fn faults(&self, axis: TimeAxis) -> Vec<Fault> {
        self.grid.faults(axis, self.n_steps)
    }

    fn build(&self, walk: &Walk<'_>) -> Result<Box<dyn Sampler>, SamplerError> {
        let points = step_points(self.grid.places(walk.schedule, self.n_steps)?);
        Ok(Box::new(DpmSolverPp2m { points, previous: None }))
    }
}

/// Second-order multistep solver in data prediction, one network call a step.
///
/// With `x = a x_0 + s n`, `lambda = ln(a / s)`, data prediction
/// `m_i = (x_i - s_i epsilon_i) / a_i`, `h = lambda_{i+1} - lambda_i`, `r = (lambda_i - lambda_{i-1}) / h`:
///
/// ```text
/// D      = m_i + (m_i - m_{i-1}) / (2 r)         m_i alone at the first and at the last step
/// x_{i+1} = (s_{i+1} / s_i) x_i - a_{i+1} (exp(-h) - 1) D
/// ```
///
/// The noise behind the last step is zero, so the last result is `m_{N-1}`.
///
/// # Why does it never clip?
/// The solver's order rests on a smooth `m(lambda)`; the published rows that use it do not clip either.
#[derive(Clone, Debug)]
pub struct DpmSolverPp2m {
    points: Vec<StepPoint>,
    previous: Option<(StepIndex, Array4<f32>)>,
}

impl DpmSolverPp2m {
    /// The solver over `grid`; [`TimestepGrid::dpm_linspace`] is the published choice.
    ///
    /// # Errors
    /// [`SamplerError::Schedule`] when the grid reaches past the schedule.
    ///
    /// # Examples
    /// ```
    /// use dubench::sampler::{DpmSolverPp2m, Sampler};
    /// use dubench::schedule::{NoiseSchedule, TimestepGrid};
    /// use dubench::units::StepIndex;
    ///
    /// let schedule = NoiseSchedule::scaled_linear(0.00085, 0.012, 1000)?;
    /// let solver = DpmSolverPp2m::new(&schedule, &TimestepGrid::dpm_linspace(1000, 50)?)?;
    /// assert_eq!(solver.point(StepIndex(49)).t, 20.0);
    /// # Ok::<(), dubench::sampler::SamplerError>(())
    /// ```
    pub fn new(schedule: &NoiseSchedule, grid: &TimestepGrid) -> Result<Self, SamplerError> {
        Ok(Self { points: step_points(grid.places(schedule)?), previous: None })
    }

    /// The weight `1 / (2 r)` of the difference of data predictions, 0 for a first-order step.
    fn difference_weight(&self, index: StepIndex) -> f64 {
        let i = index.0 as usize;
        if i == 0 || i + 1 == self.points.len() {
            return 0.0;
        }
        let [before, now, after] = [i - 1, i, i + 1].map(|at| self.points[at].level.log_snr());
        (after - now) / (2.0 * (now - before))
    }

    /// `(s' / s, a' (1 - exp(-h)))` of a step.
    fn coefficients(&self, index: StepIndex) -> (f64, f64) {
        let now = self.point(index);
        let Some(next) = self.points.get(index.0 as usize + 1) else {
            return (0.0, 1.0);
        };
        let decay = libm::exp(now.level.log_snr() - next.level.log_snr());
        (next.s() / now.s(), next.a() * (1.0 - decay))
    }
}

impl Sampler for DpmSolverPp2m {
    fn points(&self) -> &[StepPoint] {
        &self.points
    }

    fn step_kind(&self, n_draws: u32) -> Option<StepKind> {
        Some(StepKind { n_draws, clip: None, rule: StepRule::DpmSolverPp2m })
    }

    /// None without the prediction of the step before: a first-order step is made by separate calls.
    fn update(&self, index: StepIndex) -> Option<StepUpdate<'_>> {
        let (at, earlier) = self.previous.as_ref()?;
        let (keep, gain) = self.coefficients(index);
        let (weight, earlier) = (self.difference_weight(index), earlier.view());
        let update = StepUpdate::DpmSolverPp2m { keep, gain, weight, earlier };
        (at.0 + 1 == index.0).then_some(update)
    }

    fn stepped(&mut self, index: StepIndex, x0_hat: &Array4<f32>) {
        self.previous = Some((index, x0_hat.clone()));
    }

    /// A step whose predecessor was not taken by this value (the first one of a trajectory, wherever
    /// it starts) is of first order, so one solver can serve one batch after the other.
    fn step(
        &mut self,
        index: StepIndex,
        x: ArrayView4<'_, f32>,
        epsilon: ArrayView4<'_, f32>,
        _ask: Ask<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let m = self.x0_hat(index, x, epsilon);
        let (keep, gain) = self.coefficients(index);
        let history = self
            .previous
            .take()
            .filter(|(at, earlier)| at.0 + 1 == index.0 && earlier.shape() == m.shape());
        let moved = match history {
            Some((_, earlier)) => {
                let weight = self.difference_weight(index);
                Zip::from(x).and(&m).and(&earlier).map_collect(|x, m, earlier| {
                    let (m, earlier) = (f64::from(*m), f64::from(*earlier));
                    nearest_f32(keep * f64::from(*x) + gain * (m + weight * (m - earlier)))
                })
            }
            None => of_both(&x, &m, |x, m| nearest_f32(keep * f64::from(x) + gain * f64::from(m))),
        };
        self.previous = Some((index, m));
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::no_more;

    fn solver(n_steps: u32) -> DpmSolverPp2m {
        let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
        DpmSolverPp2m::new(&schedule, &TimestepGrid::dpm_linspace(1000, n_steps).unwrap()).unwrap()
    }

    fn one(value: f32) -> Array4<f32> {
        Array4::from_elem((1, 1, 1, 1), value)
    }

    fn moved(solver: &mut DpmSolverPp2m, index: StepIndex, [x, e]: [f32; 2]) -> Array4<f32> {
        solver.step(index, one(x).view(), one(e).view(), &mut no_more).unwrap()
    }

    /// `epsilon` of the Gaussian denoiser `x_0 ~ N(0, tau^2)`.
    fn gaussian(point: &StepPoint, x: &Array4<f32>, tau: f64) -> Array4<f32> {
        let (a, s) = (point.a(), point.s());
        x.mapv(|x| nearest_f32(s * f64::from(x) / (a * a * tau * tau + s * s)))
    }

    /// State at `t = 270` and what it is in the exact flow, which scales `x` with `sqrt(a^2 tau^2 + s^2)`.
    fn relative_error(n_steps: u32, tau: f64) -> f64 {
        let mut solver = solver(n_steps);
        let spread = |point: &StepPoint| (point.a().powi(2) * tau * tau + point.s().powi(2)).sqrt();
        let mut x = one(1.0);
        let mut index = StepIndex(0);
        while solver.point(index).t > 270.0 {
            let epsilon = gaussian(&solver.point(index), &x, tau);
            x = solver.step(index, x.view(), epsilon.view(), &mut no_more).unwrap();
            index = StepIndex(index.0 + 1);
        }
        let exact = spread(&solver.point(index)) / spread(&solver.point(StepIndex(0)));
        f64::from(x[[0, 0, 0, 0]]) / exact - 1.0
    }

    /// 37, 111 and 333 steps visit `t = 270` alike and each step is a third of the one before, so a
    /// rule of second order divides its error by about nine (a rule of first order by three).
    #[test]
    fn error_on_the_gaussian_flow_is_of_second_order() {
        let errors = [37, 111, 333].map(|n_steps| relative_error(n_steps, 0.7).abs());
        assert!(errors[0] < 0.02 && errors[0] > 1e-6, "{errors:?}");
        assert!(errors[0] / errors[1] > 6.0 && errors[0] / errors[1] < 14.0, "{errors:?}");
        assert!(errors[1] / errors[2] > 6.0 && errors[1] / errors[2] < 14.0, "{errors:?}");
    }

    /// With a constant data prediction the exact solution is `x' = (s'/s) x + (a' - a s'/s) m`.
    #[test]
    fn constant_data_prediction_is_solved_exactly() {
        let mut solver = solver(50);
        let m = 0.3_f64;
        let mut x = one(0.9);
        for index in (0..50).map(StepIndex) {
            let point = solver.point(index);
            let (a, s) = (point.a(), point.s());
            let value = f64::from(x[[0, 0, 0, 0]]);
            let epsilon = one(nearest_f32((value - a * m) / s));
            x = solver.step(index, x.view(), epsilon.view(), &mut no_more).unwrap();
            let (a_next, s_next) = match solver.points.get(index.0 as usize + 1) {
                Some(next) => (next.a(), next.s()),
                None => (1.0, 0.0),
            };
            let expected = s_next / s * value + (a_next - a * s_next / s) * m;
            // At t = 999 the data prediction is divided by a = 0.0064.
            assert!((f64::from(x[[0, 0, 0, 0]]) - expected).abs() < 1e-5, "{index}");
        }
        assert!((x[[0, 0, 0, 0]] - 0.3).abs() < 1e-5);
    }

    #[test]
    fn it_never_clips_and_ends_at_the_data_prediction() {
        let mut solver = solver(50);
        let index = StepIndex(49);
        let m = solver.x0_hat(index, one(5.0).view(), one(0.1).view());
        assert!(m[[0, 0, 0, 0]] > 1.0);
        assert_eq!(moved(&mut solver, index, [5.0, 0.1]), m);
    }

    #[test]
    fn a_used_solver_starts_the_next_batch_afresh() {
        let (here, other) = ([0.7, 0.2], [0.7, -1.0]);
        let mut used = solver(50);
        moved(&mut used, StepIndex(3), other);
        let again = moved(&mut used, StepIndex(0), here);
        assert_eq!(again, moved(&mut solver(50), StepIndex(0), here));
        let first = moved(&mut solver(50), StepIndex(25), here);
        let mut with_history = solver(50);
        moved(&mut with_history, StepIndex(24), other);
        assert_ne!(moved(&mut with_history, StepIndex(25), here), first);
    }
}
