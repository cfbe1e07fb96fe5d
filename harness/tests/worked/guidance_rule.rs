//! A guidance rule: `harness/src/guidance/damp.rs`, a line in `mod.rs`, a line in `kinds.rs`.

use dubench::fault::Fault;
use dubench::guidance::{
    Guidance, GuidanceError, MaskRule, MaskStatistic, OpenValues, Path, RuleFacts, RuleSettings,
    RuleValues,
};
use dubench::model::{ModelError, Network};
use dubench::schedule::TimeAxis;
use dubench::uncertainty::{StepContext, Window};
use ndarray::{Array4, Zip};
use serde::{Deserialize, Serialize};

/// `epsilon' = (1 - lambda) epsilon` where `epsilon^2` lies above its percentile: no network is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damp {
    /// Strength, from 0 to 1.
    pub lambda: f32,
    /// Elements above this quantile of their image are rewritten.
    pub percentile: f64,
}

impl RuleSettings for Damp {
    fn values(&self) -> RuleValues<'_> {
        let (lambda, percentile) = (Some(self.lambda.into()), self.percentile);
        RuleValues { lambda, percentile, window: None, n_draws: None, mask: None }
    }

    fn open(&mut self) -> OpenValues<'_> {
        OpenValues { n_draws: None, mask: None }
    }

    fn facts(&self) -> RuleFacts {
        let statistic = MaskStatistic::Centered;
        RuleFacts { statistic, needs_gradient: false, words: None, published: None }
    }

    fn faults(&self) -> Vec<Fault> {
        let fault = || Fault::new("lambda", "it turns the prediction round: use 0 to 1");
        (!(0.0..=1.0).contains(&self.lambda)).then(fault).into_iter().collect()
    }

    fn misfit(&self, _axis: TimeAxis) -> Option<String> {
        None
    }

    fn build(&self, mask: MaskRule, _: &Path<'_>) -> Result<Box<dyn Guidance>, GuidanceError> {
        match self.faults().pop() {
            Some(fault) => Err(GuidanceError::Setting { kind: "damp", fault }),
            None => Ok(Box::new(Damped { keep: 1.0 - self.lambda, mask })),
        }
    }
}

struct Damped {
    keep: f32,
    mask: MaskRule,
}

impl Guidance for Damped {
    fn name(&self) -> &'static str {
        "damp"
    }

    fn window(&self) -> Option<Window> {
        None
    }

    fn rewrite(
        &mut self,
        context: &StepContext<'_>,
        _network: &mut Network<'_>,
    ) -> Result<Array4<f32>, ModelError> {
        let mask = self.mask.mask(context.point.index, &context.epsilon.mapv(|e| e * e))?;
        let damped = |e: &f32, mark: &bool| if *mark { self.keep * e } else { *e };
        Ok(Zip::from(context.epsilon).and(&mask).map_collect(damped))
    }
}

/// On the Gaussian `epsilon = J x`, and one step ends at `(x - s epsilon') / a`; 5 % of 60 elements are 3 in each image.
#[test]
fn one_step_damps_the_three_largest_predictions_of_an_image() {
    use crate::bench::{ddim, guidance, read, slope, walk};
    let damp: crate::Rules = read("{kind: damp, lambda: 0.5, percentile: 0.95}");
    let mut sampler = ddim(1, 600);
    let point = sampler.point(dubench::units::StepIndex(0));
    let walked = walk(8, &mut *sampler, (&mut [], Some(&mut *guidance(&*damp))));
    for (first, last) in walked.first.outer_iter().zip(walked.last.outer_iter()) {
        let n_moved_by = |keep: f64| {
            let factor = (1.0 - keep * point.s() * slope(&point)) / point.a();
            let ratios = last.iter().zip(first).map(|(end, x)| f64::from(*end) / f64::from(*x));
            ratios.filter(|ratio| (ratio / factor - 1.0).abs() < 1e-5).count()
        };
        assert_eq!((n_moved_by(0.5), n_moved_by(1.0)), (3, 57));
    }
}
