//! Does a row's answer depend on the batch around it?
//!
//! ONNX Runtime does not promise that it does not: which kernel runs may depend on the batch. So it
//! is measured for each model, device and library, and the result goes into every manifest. Where
//! rows are not independent, the batch size belongs to the identity of a result.

use ndarray::{Array4, Axis, s};

use crate::model::{Condition, Denoiser, ModelError, NetworkInput};
use crate::noise::{NoiseKey, Purpose, standard_normal};
use crate::schedule::{GridConfig, NoisePoint, NoiseSchedule, ScheduleError};
use crate::units::{SampleId, Timestep};

/// Rows of the test batch: odd, so that kernels meet a remainder.
pub const ROWS: usize = 5;

/// Largest differences of a row's answer between the ways to ask for it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SelfTestReport {
    /// Rows of the batch.
    pub n_rows: usize,
    /// Largest `|answer|`, the scale of the differences.
    pub largest: f32,
    /// Row in the batch against row alone.
    pub against_single: f32,
    /// Row in the batch against the same row at another position.
    pub against_reversed: f32,
    /// The batch against itself, run again.
    pub against_repeat: f32,
}

impl SelfTestReport {
    /// Whether a row's answer has the same bits however it is asked for.
    pub fn is_invariant(&self) -> bool {
        self.against_single == 0.0 && self.against_reversed == 0.0 && self.against_repeat == 0.0
    }
}

/// Where the rows of the test are asked: over the whole schedule, or, for networks whose rows share a time, all in the middle
/// of it (else no two rows would travel in one call).
///
/// # Errors
/// [`ScheduleError`] for a schedule with fewer times than rows.
pub fn places(
    schedule: &NoiseSchedule,
    shares_time: bool,
) -> Result<Vec<NoisePoint>, ScheduleError> {
    let places: Vec<NoisePoint> = match schedule.last() {
        Some(last) => {
            let step = |k: u32| schedule.at(Timestep(last.0 / 4 * k.min(4)));
            (0_u32..).take(ROWS).map(step).collect()
        }
        None => {
            GridConfig::own(schedule.axis()).places(schedule, u32::try_from(ROWS).unwrap_or(1))?
        }
    };
    Ok(if shares_time { vec![places[ROWS / 2]; ROWS] } else { places })
}

/// Asks `denoiser` for the same rows as a batch, one by one, in reverse order, and again.
///
/// # Errors
/// Those of the denoiser.
pub fn run(
    denoiser: &mut dyn Denoiser,
    places: &[NoisePoint],
) -> Result<SelfTestReport, ModelError> {
    let rows = Rows::new(denoiser, places);
    let forward: Vec<usize> = (0..ROWS).collect();
    let reversed: Vec<usize> = (0..ROWS).rev().collect();
    let batch = match rows.ask(denoiser, &forward) {
        Err(error) => return Err(rows.baked_in(denoiser, error)),
        Ok(batch) => batch,
    };
    let repeat = rows.ask(denoiser, &forward)?;
    let mut backwards = rows.ask(denoiser, &reversed)?;
    backwards.invert_axis(Axis(0));
    let mut against_single = 0.0_f32;
    for row in 0..ROWS {
        let single = rows.ask(denoiser, &[row])?;
        let difference =
            largest_difference(&single, &batch.slice(s![row..=row, .., .., ..]).to_owned());
        against_single = against_single.max(difference);
    }
    Ok(SelfTestReport {
        n_rows: ROWS,
        largest: batch.iter().fold(0.0, |largest, value| value.abs().max(largest)),
        against_single,
        against_reversed: largest_difference(&batch, &backwards),
        against_repeat: largest_difference(&batch, &repeat),
    })
}

struct Rows {
    x: Array4<f32>,
    t: Vec<NoisePoint>,
    y: Option<Vec<Condition>>,
}

impl Rows {
    fn new(denoiser: &dyn Denoiser, places: &[NoisePoint]) -> Self {
        let spec = denoiser.spec();
        let [c, h, w] = spec.shape;
        let mut x = Array4::zeros((ROWS, c, h, w));
        for (sample, mut row) in (0_u64..).zip(x.outer_iter_mut()) {
            let mut noise = vec![0.0; c * h * w];
            let key = NoiseKey {
                seed: 0,
                purpose: Purpose::Initial,
                sample: SampleId(sample),
                step: 0,
                draw: 0,
            };
            standard_normal(key, &mut noise);
            row.iter_mut().zip(noise).for_each(|(value, noise)| *value = noise);
        }
        let t = places.to_vec();
        let y = spec.some_conditions(ROWS);
        Self { x, t, y }
    }

    /// Tells a batch that the graph holds where it does not say so from other failures of the runtime.
    fn baked_in(&self, denoiser: &mut dyn Denoiser, error: ModelError) -> ModelError {
        let (ModelError::Runtime { context, .. } | ModelError::Bundle { path: context, .. }) =
            &error
        else {
            return error;
        };
        let mut runs = |n: &usize| self.ask(denoiser, &vec![0; *n]).is_ok();
        match [1, 2, 3, 4, 8, 16, 32, 64].into_iter().find(|n| runs(n)) {
            None => error,
            Some(n) => ModelError::Bundle {
                path: context.clone(),
                message: format!(
                    "a batch is baked in: calls of {n} rows run, of {ROWS} do not, though the inputs do not say so: re-export with a dynamic first axis"
                ),
            },
        }
    }

    fn ask(&self, denoiser: &mut dyn Denoiser, order: &[usize]) -> Result<Array4<f32>, ModelError> {
        let x = self.x.select(Axis(0), order);
        let t: Vec<NoisePoint> = order.iter().map(|row| self.t[*row]).collect();
        let y: Option<Vec<Condition>> =
            self.y.as_ref().map(|y| order.iter().map(|row| y[*row]).collect());
        denoiser.epsilon(NetworkInput { x: x.view(), t: &t, y: y.as_deref() })
    }
}

/// Largest `|a - b|`; infinite where exactly one of them is not a number.
fn largest_difference(a: &Array4<f32>, b: &Array4<f32>) -> f32 {
    a.iter().zip(b).fold(0.0, |largest, (a, b)| {
        let difference = if a.to_bits() == b.to_bits() { 0.0 } else { (a - b).abs() };
        largest.max(if difference.is_nan() { f32::INFINITY } else { difference })
    })
}
