//! `dubench doctor --benchmark`: how many evaluations a second a network makes here.

use std::path::Path;
use std::time::{Duration, Instant};

use ndarray::Array4;
use serde::Serialize;

use super::answer::Context;
use super::arguments::DoctorOptions;
use super::error::CliError;
use super::session;
use crate::exit::Exit;
use crate::model::bundle::work::bundle_work;
use crate::model::bundle::{Opened, SelfTest, open_bundle};
use crate::model::{Denoiser, NetworkInput};
use crate::noise::{NoiseKey, Purpose, standard_normal};
use crate::schedule::{NoisePoint, NoiseSchedule};
use crate::units::SampleId;

/// Calls of a batch size are repeated for so long, and at least [`MIN_CALLS`] times.
const LONG_ENOUGH: Duration = Duration::from_secs(2);
const MIN_CALLS: usize = 5;
/// Largest batch where nobody says.
const LARGEST: usize = 16;

/// Evaluations a second in calls of one size.
#[derive(Clone, Debug, Serialize)]
struct Measured {
    batch: usize,
    calls: usize,
    /// Median over calls.
    median: f64,
    /// Slowest and fastest call.
    lowest: f64,
    highest: f64,
}

/// Measures the bundle in `folder`: predictions at batches of 1, 4, 16, .. up to `--batch`.
///
/// # Errors
/// Those of opening and running it.
pub(super) fn run(
    folder: &Path,
    options: &DoctorOptions,
    context: Context,
) -> Result<Exit, CliError> {
    let largest = options.device.batch.unwrap_or(LARGEST);
    let runtime = session::runtime(&options.device, largest)?;
    let Opened { denoiser, guidance, schedule, provenance, .. } =
        open_bundle(folder, &runtime, SelfTest::Skip)?;
    let mut network = Opened::guided(denoiser, guidance);
    let place = middle(&schedule)?;
    let sizes = (0..).map(|power| 4_usize.pow(power)).take_while(|size| *size < largest);
    let mut measured = Vec::new();
    for size in sizes.chain([largest]) {
        measured.push(measure(network.as_mut(), place, size)?);
    }
    let work = bundle_work(folder, false, &runtime)?.forward;
    let operations = work.as_ref().ok().map(|work| work.forward);
    let best = measured.iter().fold(0.0_f64, |best, one| best.max(one.median));
    let mut lines = vec![format!(
        "{} on {}, {} threads, one network: evaluations of one image a second, median of the calls (slowest to fastest)",
        provenance.name, provenance.device, provenance.threads
    )];
    lines.extend(measured.iter().map(|one| line(one, operations)));
    if let Err(reason) = &work {
        lines.push(reason.clone());
    }
    lines.push(format!("dubench plan EXPERIMENT --cost --evaluations-per-second {best:.4}"));
    let value = serde_json::json!({
        "model": provenance.name, "device": provenance.device, "threads": provenance.threads,
        "operations": operations, "measured": measured,
    });
    context.answer(&value, &lines.join("\n"))?;
    Ok(Exit::Complete)
}

/// A place in the middle of the noise levels.
fn middle(schedule: &NoiseSchedule) -> Result<NoisePoint, CliError> {
    let places = crate::model::onnx::self_test::places(schedule, true);
    let places = places.map_err(|error| CliError::Stage(error.into()))?;
    let bug = || CliError::Bug("a schedule without places".to_owned());
    places.get(places.len() / 2).copied().ok_or_else(bug)
}

fn measure(
    network: &mut dyn Denoiser,
    place: NoisePoint,
    batch: usize,
) -> Result<Measured, CliError> {
    let spec = network.spec().clone();
    let [c, h, w] = spec.shape;
    let mut noise = vec![0.0; batch * c * h * w];
    let key =
        NoiseKey { seed: 0, purpose: Purpose::Initial, sample: SampleId(0), step: 0, draw: 0 };
    standard_normal(key, &mut noise);
    let bug = |error: ndarray::ShapeError| CliError::Bug(error.to_string());
    let x = Array4::from_shape_vec((batch, c, h, w), noise).map_err(bug)?;
    let (t, y) = (vec![place; batch], spec.some_conditions(batch));
    let input = NetworkInput { x: x.view(), t: &t, y: y.as_deref() };
    // The first call finds cold caches, and opens what is opened on first use.
    network.epsilon(input)?;
    let (begin, mut rates) = (Instant::now(), Vec::new());
    let evaluations = batch as f64 * network.evaluations_a_row() as f64;
    while rates.len() < MIN_CALLS || begin.elapsed() < LONG_ENOUGH {
        let start = Instant::now();
        network.epsilon(input)?;
        rates.push(evaluations / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let (calls, last) = (rates.len(), rates.len() - 1);
    Ok(Measured { batch, calls, median: rates[calls / 2], lowest: rates[0], highest: rates[last] })
}

fn line(one: &Measured, operations: Option<u64>) -> String {
    let Measured { batch, calls, median, lowest, highest } = one;
    let speed = operations
        .map_or(String::new(), |n| format!(", {:.2e} operations a second", median * n as f64));
    format!("batch {batch:>5}  {median:.2} ({lowest:.2} to {highest:.2}), {calls} calls{speed}")
}
