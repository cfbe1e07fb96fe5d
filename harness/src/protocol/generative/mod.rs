//! Generative uncertainty (Jazbec et al. 2025, arXiv:2502.20946): how unlike the images are that other networks of the posterior
//! make of one start, in the eyes of a feature network.
//!
//! It looks at no step of a walk but at its end, and asks for walks of its own: a method that a pool can have beside its
//! estimators, in every protocol that ranks the pool.

mod entropy;

use serde::{Deserialize, Serialize};

pub use entropy::FeatureSpread;

use super::{ArmScores, Evidence, MethodColumn, PosteriorNeed, ProtocolError, Scope};
use crate::fault::Fault;
use crate::plan::{ArmPlan, Work};
use crate::propagation::PosteriorSettings;
use crate::units::Nfe;

/// Name of the method in files and tables, and its kind.
pub const METHOD: &str = "generative_uncertainty";

/// Generative uncertainty as a protocol that ranks a pool writes it. Defaults are those of the released code.
///
/// # Examples
/// ```
/// use dubench::protocol::generative::GenerativeUncertainty;
///
/// let settings: GenerativeUncertainty = serde_json::from_str("{}").unwrap();
/// assert_eq!((settings.n_draws, settings.feature_variance), (5, 1e-3));
/// let none: GenerativeUncertainty = serde_json::from_str(r#"{"n_draws": 0}"#).unwrap();
/// assert!(none.faults(&|_| false)[0].message.contains("one image has no spread"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerativeUncertainty {
    /// Posterior of the last layer.
    #[serde(default)]
    pub posterior: PosteriorSettings,
    /// Draws of its weights. The network as it is makes one image more, that of the pool: the paper's `M` is one more.
    #[serde(default = "n_draws")]
    pub n_draws: u32,
    /// Variance that a feature has beside that over weights: the paper's `sigma^2`.
    #[serde(default = "feature_variance")]
    pub feature_variance: f64,
}

fn n_draws() -> u32 {
    5
}

fn feature_variance() -> f64 {
    1e-3
}

impl GenerativeUncertainty {
    /// What it reads beyond the parts of its arms.
    pub fn need(&self) -> PosteriorNeed<'_> {
        PosteriorNeed { method: METHOD, settings: &self.posterior }
    }

    /// One arm a draw: the starts and the sampler of the pool, other weights along the whole walk. Draws are numbered from 1,
    /// since the pool is by the weights of the network.
    pub(super) fn arms(&self, Scope { common, scale }: Scope<'_>) -> Vec<ArmPlan> {
        let arm = |draw: u32| ArmPlan {
            weights: Some(draw),
            ..ArmPlan::new(&name_of(draw), scale.n_pool, common.sampler.clone())
        };
        (1..=self.n_draws).map(arm).collect()
    }

    /// What keeps it from running, with keys relative to the protocol's; `taken` says which names others have.
    pub fn faults(&self, taken: &dyn Fn(&str) -> bool) -> Vec<Fault> {
        let below = |key: &str| format!("{METHOD}.{key}");
        let mut faults: Vec<Fault> = self
            .posterior
            .faults()
            .into_iter()
            .map(|fault| fault.below(&below("posterior")))
            .collect();
        if !(1..=1024).contains(&self.n_draws) {
            let message = format!(
                "{} further images of a start: one image has no spread, use 1 to 1024 (the released code has 5)",
                self.n_draws
            );
            faults.push(Fault::new(below("n_draws"), message));
        }
        if !(self.feature_variance > 0.0 && self.feature_variance.is_finite()) {
            let message = format!(
                "{} is no positive number: features that do not vary would have no entropy (the released code has 0.001)",
                self.feature_variance
            );
            faults.push(Fault::new(below("feature_variance"), message));
        }
        let own = (1..=self.n_draws.min(1024)).map(name_of).chain([METHOD.to_owned()]);
        faults.extend(own.filter(|name| taken(name)).map(|name| {
            let message = format!("{name:?} is taken: give every method and arm a name of its own");
            Fault::new(METHOD, message)
        }));
        faults
    }

    /// Adds its scores to those of the pool, which is arm 0. Its evaluations are those of the further walks.
    ///
    /// # Errors
    /// [`ProtocolError`] for parts that are missing or damaged.
    pub(super) fn add(
        &self,
        evidence: &mut dyn Evidence,
        pool: &mut ArmScores,
    ) -> Result<(), ProtocolError> {
        let mut spread = FeatureSpread::of(&evidence.features(0)?);
        let (mut nfe, mut seconds) = (Nfe::default(), 0.0);
        for arm in arms_of(evidence.work()) {
            let walked = evidence.scores(arm)?;
            nfe.estimator += walked.nfe_trajectory;
            seconds += walked.network_seconds;
            spread.add(&evidence.features(arm)?);
        }
        let scores = spread.entropies(self.feature_variance);
        pool.methods.push(MethodColumn { name: METHOD.to_owned(), scores, nfe, seconds });
        Ok(())
    }

    /// What must stand under a table that has it.
    pub(super) fn remark(&self, work: &Work) -> Option<String> {
        let extractor = work.extractor.as_ref()?;
        Some(format!(
            "Generative uncertainty: entropy of the features ({}) of the image and of {} more from the same start, each walk by one \
             draw of last-layer weights, as a Gaussian with a variance a feature, plus {}. Its evaluations are those of the \
             further walks; each of their images goes through the feature network too. The paper scores features of CLIP; here \
             the score and the numbers of the table are of one network.",
            extractor.name, self.n_draws, self.feature_variance
        ))
    }
}

fn name_of(draw: u32) -> String {
    format!("weights_{draw}")
}

/// Arms that walk by drawn weights: none of them is a pool.
fn arms_of(work: &Work) -> Vec<usize> {
    let arms = work.arms.iter().enumerate();
    arms.filter(|(_, arm)| arm.weights.is_some()).map(|(at, _)| at).collect()
}
