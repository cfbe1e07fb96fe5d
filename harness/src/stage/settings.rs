//! How a stage that runs the model is set up, and what it notes of that.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use crate::model::DenoiserSpec;
use crate::model::onnx::StepGraphs;
use crate::plan::ArmPlan;
use crate::store::layout::StageName;
use crate::store::manifest::Manifest;

use super::Run;
use super::open::OpenModel;

/// Values that change the time a run takes, and no digit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Images a network call, at most.
    pub batch_size: NonZeroUsize,
    /// Networks that work side by side, each on blocks of its own.
    pub networks: NonZeroUsize,
    /// Blocks at a time on each network, which they ask in turn: while one waits for a device, the host works on the others.
    pub turns: NonZeroUsize,
    /// Threads of a network call, for the manifest.
    pub threads: usize,
    /// Whether steps with draws are one call, for the manifest.
    pub step_graphs: StepGraphs,
}

/// What a stage that runs the model is made with.
pub(super) fn manifest(
    run: &Run<'_>,
    stage: StageName,
    model: &OpenModel,
    options: GenerateOptions,
) -> Manifest {
    let provenance = &model.provenance;
    let mut fixed = vec![
        ("plan", run.layout.stage_id(stage).to_owned()),
        ("runtime", provenance.runtime.clone()),
        ("device", provenance.device.clone()),
    ];
    let mut noted = vec![
        ("version", provenance.version.clone()),
        ("revision", provenance.revision.clone().unwrap_or_default()),
        ("networks", options.networks.to_string()),
        ("turns", options.turns.to_string()),
        ("threads", options.threads.to_string()),
        ("step_graph", options.step_graphs.as_str().to_owned()),
    ];
    if let Some(report) = model.self_test {
        let largest = report.against_single.max(report.against_reversed).max(report.against_repeat);
        noted.push(("rows_differ_by", largest.to_string()));
    }
    // Where a row's answer depends on the batch around it, the batch size moves digits.
    let pinned = model.self_test.is_some_and(|report| !report.is_invariant());
    let batch_size = ("batch_size", options.batch_size.to_string());
    if pinned { &mut fixed } else { &mut noted }.push(batch_size);
    let text = |pairs: Vec<(&str, String)>| {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    };
    Manifest {
        fixed: text(fixed),
        noted: text(noted),
        not_applicable: not_applicable(&run.plan.arms, model.denoiser.spec()),
    }
}

/// Why a method of the arms cannot run on this model, for each that cannot: the dash of a table.
pub(super) fn not_applicable(arms: &[ArmPlan], model: &DenoiserSpec) -> BTreeMap<String, String> {
    let watchers = arms.iter().flat_map(|arm| &arm.watch);
    let reason = |plan: &crate::uncertainty::EstimatorPlan| {
        Some((plan.name.clone(), plan.rule.not_applicable(model)?))
    };
    watchers.filter_map(reason).collect()
}
