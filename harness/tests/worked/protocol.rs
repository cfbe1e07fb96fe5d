//! A protocol: `harness/src/protocol/score_means/mod.rs`, a line in `protocol/mod.rs`, a line in `protocol/kinds.rs`.

use dubench::config::values::{estimator_list, window};
use dubench::config::{Common, ScaleConfig};
use dubench::fault::Fault;
use dubench::plan::{ArmPlan, Work};
use dubench::protocol::rows::mean_and_se;
use dubench::protocol::{
    Evidence, MethodColumn, Needs, Numbers, Protocol, ProtocolError, RunFacts, Scope,
};
use dubench::report::document::{Align, Cell, Grid};
use dubench::report::{Artefact, Labels, cells, markdown};
use dubench::uncertainty::EstimatorPlan;
use serde::{Deserialize, Serialize};

/// Mean score of every estimator over one pool, as an experiment writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreMeans {}

impl Protocol for ScoreMeans {
    fn needs(&self) -> Needs<'_> {
        Needs::default()
    }

    fn faults(&self, common: &Common) -> Vec<Fault> {
        let defaults = common.defaults(common.sampler.n_steps());
        let mut faults = Vec::new();
        estimator_list("estimators", &common.estimators, &defaults, &mut faults);
        for (at, estimator) in common.estimators.iter().enumerate() {
            let (key, n_steps) = (format!("estimators[{at}]"), common.sampler.n_steps());
            window(&key, estimator.window(&defaults), n_steps, &mut faults);
        }
        faults
    }

    fn fill(&mut self, _scale: &ScaleConfig) {}

    fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let n_steps = common.sampler.n_steps();
        let defaults = common.defaults(n_steps);
        let plan = |e| EstimatorPlan::resolve(e, common.window_of(e, n_steps), &defaults);
        vec![ArmPlan {
            watch: common.estimators.iter().map(plan).collect(),
            ..ArmPlan::new("pool", scale.n_pool, common.sampler_of(None, scale))
        }]
    }

    fn evaluate(&self, evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
        let (scores, facts) = (evidence.scores(0)?, RunFacts::of(evidence, 0));
        let row = |method: &MethodColumn| {
            let (mean, se) = mean_and_se(&method.scores);
            facts.row(&method.name, "score", Some(mean)).with_se(se).over(method.scores.len())
        };
        let absent = |(method, why): (&String, &String)| facts.not_applicable(method, "score", why);
        let there = scores.methods.iter().map(row);
        let rows = there.chain(evidence.not_applicable().iter().map(absent)).collect();
        Ok(Numbers { rows, ..Numbers::default() })
    }

    fn remarks(&self, _evidence: &dyn Evidence) -> Vec<String> {
        Vec::new()
    }

    fn report(
        &self,
        evidence: &mut dyn Evidence,
        numbers: &Numbers,
    ) -> Result<Vec<Artefact>, ProtocolError> {
        let labels = Labels::of(&numbers.rows);
        let mut grid = Grid::with_columns(&[("Method", Align::Left), ("Score", Align::Right)]);
        for row in &numbers.rows {
            let cell = cells::estimate(Some(row), &mut grid);
            grid.push(vec![Cell::new(labels.method(&row.method)), cell], false);
        }
        let text = format!("# {}\n\n{}\n", evidence.question(), markdown::table(&grid));
        Ok(vec![Artefact { name: "table.md".to_owned(), bytes: text.into_bytes() }])
    }

    fn summary(&self, _work: &Work) -> Option<String> {
        None
    }
}

#[test]
fn mean_and_error_of_sample_variances_are_those_of_scaled_chi_squared_numbers() {
    use crate::bench::{Parts, read, sample_variance};
    let means: crate::Protocols = read("{kind: score_means}");
    let mut parts = Parts::of(&*means, 400);
    let numbers = means.evaluate(&mut parts).unwrap();
    let (row, (mean, se)) = (&numbers.rows[0], sample_variance(&parts.work.arms[0]));
    assert_eq!((row.kind.as_str(), row.n), ("sample_var", Some(400)));
    assert!((row.value.unwrap() - mean).abs() < 4.0 * se, "{row:?}, expected {mean}");
    assert!((row.se.unwrap() / se - 1.0).abs() < 0.15, "{row:?}, expected {se}");
    let page = means.report(&mut parts, &numbers).unwrap().remove(0).bytes;
    assert!(String::from_utf8(page).unwrap().contains("| Score variance | "));
}
