//! What a reconstruction shows.

use ndarray::{Array2, Array3, ArrayView1, Axis};

use super::audit_plot::Audit;
use super::curve_plot::SparsificationCurves;
use super::input::MapPanel;
use super::latent::repeated;
use super::map_plot::MapSheet;
use super::table;
use crate::plan::{ArmPlan, MapsPlan, Start};
use crate::protocol::{Evidence, Numbers, ProtocolError, Shown};
use crate::report::plot::files;
use crate::report::{Artefact, Head, Labels, page};
use crate::units::SampleId;

/// Images whose maps are shown: the first ones, so that nobody chose them.
const N_PANELS: u64 = 6;

pub(super) fn report(
    evidence: &mut dyn Evidence,
    numbers: &Numbers,
) -> Result<Vec<Artefact>, ProtocolError> {
    let labels = Labels::of(&numbers.rows);
    let panels = panels(evidence, &labels)?;
    let work = evidence.work();
    let head = Head {
        experiment: &work.experiment,
        artefact: &work.artefact,
        scale: &work.scale,
        question: evidence.question(),
    };
    let (remarks, published) = (remarks(evidence), evidence.published_table());
    let document = table::document(head, &numbers.rows, &remarks, published)?;
    let mut out = page::files(&document);
    if let Some(figure) = SparsificationCurves::new(&numbers.curves, &labels)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = MapSheet::new(&panels)? {
        out.extend(files(&figure)?);
    }
    if let Some(figure) = Audit::new(&numbers.rows, &labels, published)? {
        out.extend(files(&figure)?);
    }
    Ok(out)
}

/// The first images of the first arm, with the maps of its methods in the order of the plan.
fn panels(evidence: &mut dyn Evidence, labels: &Labels) -> Result<Vec<MapPanel>, ProtocolError> {
    let Some(arm) = evidence.work().arms.first().cloned() else { return Ok(Vec::new()) };
    let n = N_PANELS.min(arm.n);
    let samples: Vec<SampleId> = (0..n).map(SampleId).collect();
    let (shown, truth) = (evidence.shown(0, &samples)?, evidence.truth(n)?);
    shown
        .into_iter()
        .zip(truth.outer_iter())
        .map(|(shown, truth)| panel((&arm, labels), shown, truth))
        .collect()
}

fn panel(
    (arm, labels): (&ArmPlan, &Labels),
    Shown { sample, image, maps }: Shown,
    truth: ArrayView1<'_, u8>,
) -> Result<MapPanel, ProtocolError> {
    let (c, h, w) = image.dim();
    let truth = Array3::from_shape_vec((c, h, w), truth.to_vec())
        .map_err(|_| ProtocolError::Absent { what: "image of the model's shape" })?;
    let mut error = Array2::zeros((h, w));
    for (a, b) in truth.outer_iter().zip(image.outer_iter()) {
        ndarray::Zip::from(&mut error)
            .and(&a)
            .and(&b)
            .for_each(|sum, a, b| *sum += f32::from(a.abs_diff(*b)));
    }
    let map = |name: &str| {
        let map = repeated(&maps.get(name)?.sum_axis(Axis(0)).view(), (h, w));
        Some(map.map(|map| (labels.method(name), map)))
    };
    let maps = arm.methods().filter_map(map).collect::<Result<_, _>>();
    let maps = maps.map_err(ProtocolError::metric(arm.name.as_str()))?;
    Ok(MapPanel { sample, truth, reconstruction: image, error, maps })
}

/// Sentences that must stand under the table.
pub(super) fn remarks(evidence: &dyn Evidence) -> Vec<String> {
    let work = evidence.work();
    let mut remarks: Vec<String> =
        work.arms.iter().filter_map(|arm| arm_words(arm, work.dataset())).collect();
    if let Some([c, h, w]) = work.images.as_ref().and_then(|images| images.latent) {
        remarks.push(format!(
            "Truth and error are images, and every error has that of encoding and decoding in it. Uncertainty is asked of \
             latents of {c} channels, {h} by {w}: a map is summed over their channels and repeated over the pixels and channels that a \
             place covers, so it tells no two pixels of a place apart."
        ));
    }
    if let Some(row) = evidence.published() {
        let obstacle = row.obstacle.as_ref().map_or(String::new(), |text| format!(" It {text}."));
        remarks.push(format!(
            "Published: {} on {}, another network than {} and another way to count: the audit shows which.{obstacle}",
            row.network, row.dataset, work.model.name
        ));
    }
    remarks
}

fn arm_words(arm: &ArmPlan, dataset: &str) -> Option<String> {
    let (Start::Images { noise }, MapsPlan::Channels { late }) = (arm.start, arm.maps) else {
        return None;
    };
    let draws = arm.watch.iter().map(|estimator| {
        let label = crate::report::label::named(estimator.rule.kind(), &estimator.name);
        format!("{label} M = {}", estimator.n_draws)
    });
    let draws: Vec<String> = draws.collect();
    Some(format!(
        "Arm `{}`: the first {} images of {dataset}, noise level `{}`, denoised from step {} of `{}`; {}; late steps \
         are those at t = {} to {}.",
        arm.name,
        arm.n,
        noise.as_str(),
        arm.sampler.n_steps() / 2,
        arm.sampler.label(),
        draws.join(", "),
        late.first,
        late.last,
    ))
}
