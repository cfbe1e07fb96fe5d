//! Scores and features of one pool, and features of real images, to the rows of Table 4.

use dubench_metrics::manifold::{Convention, OverlapOptions, OverlapStudy};

use super::PrecisionRecall;
use super::rankings::rankings;
use super::rows::{Costs, Input};
use crate::protocol::{Evidence, Numbers, ProtocolError, RunFacts};

/// The numbers of the table.
pub(super) fn evaluate(
    table: &PrecisionRecall,
    evidence: &mut dyn Evidence,
) -> Result<Numbers, ProtocolError> {
    let (mut scores, features) = (evidence.scores(0)?, evidence.features(0)?);
    if let Some(generative) = &table.generative_uncertainty {
        generative.add(evidence, &mut scores)?;
    }
    let real = evidence.reference_features()?;
    let what = format!("{} images against {} real ones", features.nrows(), real.nrows());
    let facts = RunFacts { n_reference: Some(real.nrows() as u64), ..RunFacts::of(evidence, 0) };
    let (k, seed) = (table.k as usize, evidence.work().seed);
    let published = evidence.published();
    let paper = |metric: &str, kind: &str| published.and_then(|row| row.value(metric, kind));
    let compute = || {
        // The rim of a ball is outside, as in the released code.
        let options = OverlapOptions { convention: Convention::Prdc, k };
        let input = Input {
            facts: &facts,
            study: OverlapStudy::new(&features, &real, &options)?,
            rankings: rankings(&scores, (features.view(), real.view()), k)?,
            n: features.nrows(),
            n_keep: usize::try_from(table.n_keep).unwrap_or(usize::MAX),
            null: (table.n_random as usize, seed),
            costs: Costs {
                nfe_trajectory: scores.nfe_trajectory,
                methods: scores.methods.iter().map(|m| (m.name.clone(), m.nfe)).collect(),
            },
            not_applicable: evidence.not_applicable(),
            paper: &paper,
        };
        input.rows()
    };
    let rows = compute().map_err(ProtocolError::metric(what))?;
    Ok(Numbers { rows, ..Numbers::default() })
}
