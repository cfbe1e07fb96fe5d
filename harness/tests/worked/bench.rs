//! What the examples are run on: the exact network of `x_0 ~ N(0, TAU^2 I)`, and parts of a run in memory.

#![expect(clippy::unwrap_used, reason = "a helper of tests: a failure here is a failed test")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use dubench::config::{PublishedSetting, PublishedTable, ScaleConfig};
use dubench::experiment::Experiment;
use dubench::guidance::{Guidance, GuidanceError, MaskRule, Path, RuleSettings};
use dubench::model::analytic::GaussianDenoiser;
use dubench::model::{Denoiser, Network};
use dubench::plan::{ArmPlan, ModelIdentity, Work};
use dubench::protocol::{
    ArmMaps, ArmScores, ArmTimes, Evidence, MethodColumn, Protocol, ProtocolError, Scope, Shown,
    StepScores, Texts,
};
use dubench::sampler::{ClipX0, Sampler, SamplerConfig, SamplerSettings, StepPoint, Walk};
use dubench::schedule::NoiseSchedule;
use dubench::stage::generate::starts::initial_states;
use dubench::stage::generate::trajectory::{BatchRequest, run_batch};
use dubench::uncertainty::{Estimator, EstimatorPlan, GroupEstimate, StepContext};
use dubench::units::{Nfe, SampleId, StepIndex};
use dubench_metrics::Reference;
use ndarray::{Array2, Array3, Array4};
use serde::de::DeserializeOwned;

/// Standard deviation of the data.
pub(crate) const TAU: f64 = 0.5;

/// `[c, h, w]` of a state.
pub(crate) const SHAPE: [usize; 3] = [3, 4, 5];

const SEED: u64 = 11;

/// What a part of an experiment file says.
pub(crate) fn read<T: DeserializeOwned>(yaml: &str) -> T {
    serde_yaml::from_str(yaml).unwrap()
}

/// Who looks on, and who guides.
pub(crate) type Company<'a> = (&'a mut [Box<dyn Estimator>], Option<&'a mut dyn Guidance>);

/// What a walk gave.
pub(crate) struct Walked {
    /// Start `x_T [n, c, h, w]`.
    pub(crate) first: Array4<f32>,
    /// End `x_0`.
    pub(crate) last: Array4<f32>,
    /// Estimator, place and map, in the order of the steps.
    pub(crate) maps: Vec<(usize, StepPoint, Array4<f32>)>,
    /// Evaluations per image of the walk itself.
    pub(crate) nfe_walk: u64,
    /// Evaluations per image beyond those of the walk itself.
    pub(crate) nfe_estimators: u64,
}

/// Slope of the prediction: `epsilon = J_t x`, `J_t = s_t / (a_t^2 TAU^2 + s_t^2)`.
pub(crate) fn slope(point: &StepPoint) -> f64 {
    point.s() / (point.level.a2() * TAU * TAU + point.level.s2())
}

/// The sampler that settings make, at its first step.
pub(crate) fn sampler(settings: &dyn SamplerSettings) -> Box<dyn Sampler> {
    settings
        .build(&Walk { schedule: &schedule(), clips: ClipX0::Never, seed: SEED, samples: &[] })
        .unwrap()
}

/// DDIM that never clips, its last step at training time `last`.
pub(crate) fn ddim(n_steps: u32, last: u32) -> Box<dyn Sampler> {
    let grid = format!("{{kind: leading, offset: {last}}}");
    let ddim: SamplerConfig = read(&format!("{{kind: ddim, n_steps: {n_steps}, grid: {grid}}}"));
    sampler(&*ddim)
}

/// The rule that settings make, with a mask of each image's own.
pub(crate) fn guidance(settings: &dyn RuleSettings) -> Box<dyn Guidance> {
    try_guidance(settings).unwrap()
}

/// As [`guidance`], for values that may make none.
pub(crate) fn try_guidance(
    settings: &dyn RuleSettings,
) -> Result<Box<dyn Guidance>, GuidanceError> {
    let mask = MaskRule::per_image(settings.values().percentile)?;
    settings.build(mask, &Path { schedule: &schedule(), clip: ClipX0::Never })
}

fn schedule() -> NoiseSchedule {
    NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap()
}

/// Walks the samples `0 .. n` from noise to image.
pub(crate) fn walk(n: u64, sampler: &mut dyn Sampler, (watch, guide): Company<'_>) -> Walked {
    let mut model = GaussianDenoiser::new(Array3::zeros(SHAPE), TAU).unwrap();
    let samples: Vec<SampleId> = (0..n).map(SampleId).collect();
    let first = initial_states(SEED, &samples, model.spec().shape);
    let request = BatchRequest {
        seed: SEED,
        samples: &samples,
        conditions: None,
        x: first.view(),
        start: StepIndex(0),
        max_batch: NonZeroUsize::new(64).unwrap(),
        before_step: None,
    };
    let (mut maps, mut nfe_estimators) = (Vec::new(), 0);
    let mut see = |context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]| {
        for (at, estimate) in estimates.iter().enumerate() {
            let Some(estimate) = estimate else { continue };
            maps.push((at, context.point, estimate.map.clone()));
            nfe_estimators += estimate.nfe.estimator;
        }
    };
    let network = &mut Network::new(&mut model);
    let outcome = run_batch(&request, sampler, (watch, &mut see), guide, network).unwrap();
    Walked { first, last: outcome.x0, maps, nfe_walk: outcome.nfe.trajectory, nfe_estimators }
}

/// Parts of a run, in memory.
pub(crate) struct Parts {
    pub(crate) work: Work,
    not_applicable: BTreeMap<String, String>,
}

impl Parts {
    /// The arms of a protocol over `n` images, with what the tiny experiment says beside it.
    pub(crate) fn of(protocol: &dyn Protocol, n: u64) -> Self {
        let text = include_str!("../../src/experiment/tiny.yaml");
        let Experiment { common, .. } = Experiment::parse("tiny.yaml".as_ref(), text).unwrap();
        assert_eq!(protocol.faults(&common), []);
        let scale = &ScaleConfig { n_pool: n, ..common.scales["smoke"].clone() };
        let work = Work {
            real: None,
            experiment: common.name.clone(),
            artefact: common.artefact.clone(),
            scale: "smoke".to_owned(),
            seed: SEED,
            starts: None,
            model: ModelIdentity::of_config("gaussian", &common.model),
            arms: protocol.arms(Scope { common: &common, scale }),
            block_size: 16,
            extractor: None,
            generated: None,
            reference: None,
            images: None,
            posterior: None,
        };
        Self { work, not_applicable: BTreeMap::new() }
    }
}

/// Mean score of the first estimator of an arm, the sample variance of `M` draws, and its standard error. A draw has the
/// variance `v_t = (J_t s_t)^2`, a sample variance of normal draws itself the variance `2 v_t^2 / (M - 1)`.
pub(crate) fn sample_variance(arm: &ArmPlan) -> (f64, f64) {
    let (sampler, EstimatorPlan { n_draws, window, .. }) = (sampler(&*arm.sampler), &arm.watch[0]);
    let indices = (window.start..window.start + window.len).map(StepIndex);
    let v = indices.map(|index| sampler.point(index)).map(|p| (slope(&p) * p.s()).powi(2));
    let v: Vec<f64> = v.flat_map(|v| vec![v; SHAPE.iter().product()]).collect();
    let variance: f64 = v.iter().map(|v| 2.0 * v * v / f64::from(n_draws - 1)).sum();
    (v.iter().sum(), (variance / arm.n as f64).sqrt())
}

impl Evidence for Parts {
    fn work(&self) -> &Work {
        &self.work
    }

    fn plan_id(&self) -> &'static str {
        "worked"
    }

    fn question(&self) -> &'static str {
        "How large are the scores?"
    }

    fn not_applicable(&self) -> &BTreeMap<String, String> {
        &self.not_applicable
    }

    fn published_table(&self) -> Option<&PublishedTable> {
        None
    }

    fn published(&self) -> Option<&PublishedSetting> {
        None
    }

    /// Walks the arm, and sums each map over steps and elements.
    fn scores(&mut self, arm: usize) -> Result<ArmScores, ProtocolError> {
        let arm = &self.work.arms[arm];
        let mut watch: Vec<_> =
            arm.watch.iter().map(EstimatorPlan::build).collect::<Result<_, _>>().unwrap();
        let walked = walk(arm.n, &mut *sampler(&*arm.sampler), (&mut watch, None));
        let column = |at: usize| MethodColumn {
            name: watch[at].name().to_owned(),
            scores: scores(&walked, at),
            nfe: Nfe::default(),
            seconds: 0.0,
        };
        Ok(ArmScores {
            samples: (0..arm.n).map(SampleId).collect(),
            methods: (0..watch.len()).map(column).collect(),
            nfe_trajectory: u64::from(arm.sampler.n_steps()),
            network_seconds: 0.0,
        })
    }

    fn negatives(&mut self, _arm: usize) -> Result<Vec<(String, Vec<f64>)>, ProtocolError> {
        Ok(Vec::new())
    }

    fn step_scores(&mut self, _arm: usize) -> Result<Vec<StepScores>, ProtocolError> {
        Err(ProtocolError::Absent { what: "scores of steps" })
    }

    fn times(&mut self, _arm: usize) -> Result<ArmTimes, ProtocolError> {
        Err(ProtocolError::Absent { what: "times" })
    }

    fn features(&mut self, _arm: usize) -> Result<Array2<f32>, ProtocolError> {
        Err(ProtocolError::Absent { what: "features" })
    }

    fn texts(&self) -> Result<Option<Texts>, ProtocolError> {
        Ok(None)
    }

    fn maps(&mut self, _arm: usize) -> Result<ArmMaps, ProtocolError> {
        Err(ProtocolError::Absent { what: "maps" })
    }

    fn shown(&mut self, _arm: usize, _samples: &[SampleId]) -> Result<Vec<Shown>, ProtocolError> {
        Err(ProtocolError::Absent { what: "images" })
    }

    fn truth(&mut self, _n: u64) -> Result<Array2<u8>, ProtocolError> {
        Err(ProtocolError::Absent { what: "real images" })
    }

    fn reference(&mut self) -> Result<Reference, ProtocolError> {
        Err(ProtocolError::Absent { what: "reference" })
    }

    fn reference_features(&mut self) -> Result<Array2<f32>, ProtocolError> {
        Err(ProtocolError::Absent { what: "reference features" })
    }
}

fn scores(walked: &Walked, estimator: usize) -> Vec<f64> {
    let mut scores = vec![0.0; walked.first.shape()[0]];
    for (_, _, map) in walked.maps.iter().filter(|(at, ..)| *at == estimator) {
        for (score, row) in scores.iter_mut().zip(map.outer_iter()) {
            *score += row.iter().map(|u| f64::from(*u)).sum::<f64>();
        }
    }
    scores
}
