//! Parts of a reconstruction to numbers.

use super::Reconstruction;
use super::latent::over_pixels;
use super::maps::Images;
use super::rows::{ArmImages, ArmNumbers, audit, numbers};
use crate::plan::{ArmPlan, NoiseLevel, Start};
use crate::protocol::{Evidence, Numbers, ProtocolError, RunFacts};
use crate::store::records::{MetricRow, ScoreTable};
use crate::units::SampleId;

/// The numbers of all arms. The first arm is the one that curves and scores of single images are kept of, and that the
/// published numbers stand beside.
pub(super) fn evaluate(
    protocol: &Reconstruction,
    evidence: &mut dyn Evidence,
) -> Result<Numbers, ProtocolError> {
    let arms: Vec<ArmPlan> = evidence.work().arms.clone();
    let mut all = Numbers::default();
    for (at, arm) in arms.iter().enumerate() {
        let (pool, truth) = (evidence.maps(at)?, evidence.truth(arm.n)?);
        let methods = pool.methods.into_iter().map(|method| over_pixels(method, pool.shape));
        let methods = methods.collect::<Result<Vec<_>, _>>();
        let methods = methods.map_err(ProtocolError::metric(arm.name.as_str()))?;
        let facts = RunFacts::of(evidence, at);
        let images =
            Images { truth: truth.view(), reconstruction: pool.images.view(), shape: pool.shape };
        let judged = ArmImages {
            arm: &arm.name,
            images,
            methods: &methods,
            nfe_trajectory: pool.nfe_trajectory,
            seed: evidence.work().seed,
            intervals: protocol.intervals as usize,
        };
        let published = evidence.published().filter(|_| at == 0);
        let paper = |metric: &str, kind: &str| published.and_then(|row| row.value(metric, kind));
        let ArmNumbers { rows, curves, columns } =
            numbers(&facts, &judged, &paper).map_err(ProtocolError::metric(arm.name.as_str()))?;
        all.rows.extend(rows);
        all.rows.extend(absent(evidence, arm, &facts));
        if is_audited(arm) {
            let rows = audit(&facts, &judged);
            all.rows.extend(rows.map_err(ProtocolError::metric(arm.name.as_str()))?);
        }
        if at == 0 {
            all.curves = curves;
            all.scores = ScoreTable { samples: (0..arm.n).map(SampleId).collect(), columns };
        }
    }
    Ok(all)
}

/// Whether the released evaluation is run on an arm too.
fn is_audited(arm: &ArmPlan) -> bool {
    matches!(arm.start, Start::Images { noise: NoiseLevel::AuthorsCode })
}

/// Rows of the methods that the model cannot serve.
fn absent(evidence: &dyn Evidence, arm: &ArmPlan, facts: &RunFacts) -> Vec<MetricRow> {
    let row = |method: &str| {
        let reason = evidence.not_applicable().get(method)?;
        Some(facts.not_applicable(method, "aurg", reason).on("as_is"))
    };
    arm.methods().filter_map(row).collect()
}
