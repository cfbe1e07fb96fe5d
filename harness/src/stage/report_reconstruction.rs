//! What the report of a reconstruction is made of, read from the stores.

use ndarray::{Array2, Array3, ArrayView1, Axis};

use crate::config::{Experiment, ProtocolConfig};
use crate::plan::ArmTask;
use crate::protocol::reconstruction::late_of;
use crate::report::reconstruction_input::{MapPanel, ReconstructionInput};
use crate::units::SampleId;

use super::evaluate_reconstruction::{read_arm, truth};
use super::evaluation::{self, Evaluation};
use super::reference::published;
use super::{Run, StageError};

/// Images whose maps are shown: the first ones, so that nobody chose them.
const N_PANELS: usize = 6;

/// Everything that tables and plots of a finished reconstruction need.
///
/// # Errors
/// [`StageError::Store`] when the run is not evaluated, or a part is damaged.
pub fn report_input(
    run: &Run<'_>,
    experiment: &Experiment,
) -> Result<ReconstructionInput, StageError> {
    let Evaluation { rows, sparsification, .. } = evaluation::read(run)?;
    Ok(ReconstructionInput {
        experiment: run.plan.experiment.clone(),
        question: experiment.question.clone(),
        artefact: run.plan.artefact.clone(),
        scale: run.plan.scale.clone(),
        rows,
        curves: sparsification,
        panels: panels(run, experiment)?,
        remarks: remarks(run, experiment)?,
    })
}

fn panels(run: &Run<'_>, experiment: &Experiment) -> Result<Vec<MapPanel>, StageError> {
    let ProtocolConfig::Reconstruction(protocol) = &run.plan.protocol else {
        return Ok(Vec::new());
    };
    let Some(placed) = run.plan.placed_arms().next() else { return Ok(Vec::new()) };
    let pool = read_arm(run, placed)?;
    let n = N_PANELS.min(pool.reconstruction.nrows());
    let truth = truth(experiment, protocol, n as u64)?;
    let shape = pool.shape;
    let image = |row: ArrayView1<'_, u8>| shaped(row, shape);
    (0..n)
        .map(|i| {
            let (truth, reconstruction) =
                (image(truth.row(i))?, image(pool.reconstruction.row(i))?);
            let mut error = Array2::zeros((shape[1], shape[2]));
            for (a, b) in truth.outer_iter().zip(reconstruction.outer_iter()) {
                ndarray::Zip::from(&mut error)
                    .and(&a)
                    .and(&b)
                    .for_each(|sum, a, b| *sum += f32::from(a.abs_diff(*b)));
            }
            let whole = pool.methods.iter().filter(|method| late_of(&method.name).is_none());
            let maps = whole
                .map(|method| {
                    let map = shaped(method.maps.row(i), shape)?.sum_axis(Axis(0));
                    Ok((method.name.clone(), map))
                })
                .collect::<Result<Vec<_>, StageError>>()?;
            Ok(MapPanel { sample: SampleId(i as u64), truth, reconstruction, error, maps })
        })
        .collect()
}

fn shaped<T: Clone>(
    row: ArrayView1<'_, T>,
    [c, h, w]: [usize; 3],
) -> Result<Array3<T>, StageError> {
    Array3::from_shape_vec((c, h, w), row.to_vec())
        .map_err(|_| StageError::Absent { what: "image of the model's shape" })
}

/// Sentences that must stand under the table.
///
/// # Errors
/// [`StageError`] for published numbers that cannot be read.
pub fn remarks(run: &Run<'_>, experiment: &Experiment) -> Result<Vec<String>, StageError> {
    let plan = run.plan;
    let mut remarks: Vec<String> = plan
        .arms
        .iter()
        .filter_map(|arm| {
            let ArmTask::Reconstruct { noise, late, estimators } = &arm.task else { return None };
            let draws: Vec<String> = estimators
                .iter()
                .map(|e| format!("{} M = {}", crate::report::label::method(&e.name), e.n_draws))
                .collect();
            Some(format!(
                "Arm `{}`: the first {} images of {}, noise level `{}`, denoised from step {} of `{}`; {}; late steps \
                 are those at t = {} to {}.",
                arm.name,
                arm.n,
                plan.reference.dataset,
                noise.as_str(),
                arm.sampler.n_steps() / 2,
                arm.sampler.label(),
                draws.join(", "),
                late.first,
                late.last,
            ))
        })
        .collect();
    if let (Some(key), Some(setting)) = (&experiment.published, published(experiment)?) {
        let obstacle = setting.obstacle.map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {} and another way to count: the audit shows which.{obstacle}",
            key.network, key.dataset, plan.model.name
        ));
    }
    Ok(remarks)
}
