//! What all stages of a run share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::experiment::Plan;
use crate::model::ModelError;
use crate::plan::{Block, Shard};
use crate::store::layout::{RunIds, StageName};
use crate::store::lock::Lock;
use crate::store::{Layout, StoreError, publish};
use crate::units::{BlockId, StepIndex};

use super::{Progress, StageError, Stop};

/// Whether a process may work where another one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// A second process on the same shard is refused: a person started it twice by mistake.
    Refuse,
    /// It is let in: schedulers restart tasks before they notice the end of the first. Slower, never wrong.
    Allow,
}

/// How busy other processes are.
pub trait Load: Sync {
    /// Cores that other processes kept busy, on average, since the last call; `None` where nobody can tell.
    fn others(&self) -> Option<f64>;

    /// Name of the processor, where it is known.
    fn processor(&self) -> Option<String>;
}

/// Whether wall times may be taken beside other processes that are busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// They are refused: such times say nothing of the work.
    Refuse,
    /// They are taken, and the table tells the load.
    Tell,
}

/// One plan in one work folder, and how to work on it.
pub struct Run<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its files.
    pub layout: Layout,
    /// Blocks that this process tries.
    pub shard: Shard,
    /// Whether others may try them too.
    pub sharing: Sharing,
    /// New blocks after which a stage ends by itself; none by default.
    pub limit: Option<usize>,
    /// Who tells of other processes; nobody by default. Asked only where wall times are evidence.
    pub load: Option<&'a dyn Load>,
    /// Whether these may be busy then.
    pub company: Company,
    /// Request to stop.
    pub stop: &'a Stop,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

impl std::fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run")
            .field("layout", &self.layout)
            .field("shard", &self.shard)
            .finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// A plan in `work`: creates the folders and writes `plan.json`.
    ///
    /// A shard of several allows a second process, the whole plan refuses it; change
    /// [`Run::sharing`] to have it otherwise.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn open(
        plan: &'a Plan,
        work: &Path,
        shard: Shard,
        (stop, progress): (&'a Stop, &'a dyn Progress),
    ) -> Result<Self, StoreError> {
        let layout = layout(plan, work);
        layout.create()?;
        let path = layout.run_file("plan.json");
        let mut text = serde_json::to_string_pretty(plan)
            .map_err(|error| StoreError::malformed(&path, error))?;
        text.push('\n');
        publish(&path, text.as_bytes())
            .map_err(|source| StoreError::Write { path: path.clone(), source })?;
        let sharing = if shard.is_whole() { Sharing::Refuse } else { Sharing::Allow };
        let company = Company::Refuse;
        Ok(Self { plan, layout, shard, sharing, limit: None, load: None, company, stop, progress })
    }

    /// The whole plan without a folder: for looks at its arms that write nothing.
    pub(super) fn in_memory(
        plan: &'a Plan,
        layout: Layout,
        (stop, progress): (&'a Stop, &'a dyn Progress),
    ) -> Self {
        let (shard, sharing, company) = (Shard::whole(), Sharing::Allow, Company::Refuse);
        Self { plan, layout, shard, sharing, limit: None, load: None, company, stop, progress }
    }

    /// Takes the lock of a stage, unless sharing is allowed.
    ///
    /// # Errors
    /// [`StoreError::Busy`].
    pub(super) fn lock(&self, stage: StageName) -> Result<Option<Lock>, StoreError> {
        match self.sharing {
            Sharing::Allow => Ok(None),
            Sharing::Refuse => {
                Lock::take(&self.layout.lock(stage, &self.shard.to_string())).map(Some)
            }
        }
    }

    /// Ends a stage early when a stop was asked for.
    pub(super) fn check_stop(
        &self,
        stage: StageName,
        (done, total): (usize, usize),
    ) -> Result<(), StageError> {
        if !self.stop.requested() {
            return Ok(());
        }
        Err(StageError::Interrupted { stage: stage.as_str(), done, total })
    }

    /// Ends a batch before the next step when a stop was asked for.
    pub(super) fn before_step(&self) -> impl Fn(StepIndex) -> Result<(), ModelError> {
        |_| {
            if !self.stop.requested() {
                return Ok(());
            }
            Err(ModelError::Stopped)
        }
    }
}

/// Files of a plan in a work folder; nothing is created.
pub fn layout(plan: &Plan, work: &Path) -> Layout {
    let ids = RunIds {
        experiment: plan.experiment.clone(),
        scale: plan.scale.clone(),
        plan_id: plan.id(),
        thresholds_id: plan.thresholds_id(),
        generate_id: plan.generate_id(),
        features_id: plan.features_id(),
        real_id: plan.real_id(),
    };
    Layout::new(work, &ids)
}

/// How far a stage is, by the names of its files alone: quick, for people. Stages themselves check
/// every hash.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StageStatus {
    /// The stage.
    pub stage: &'static str,
    /// Blocks of the plan.
    pub n_blocks: u64,
    /// Blocks that have a file.
    pub n_present: u64,
    /// Numbers of the first blocks that have none, at most 100.
    pub missing: Vec<u64>,
    /// Blocks that failed.
    pub failed: Vec<u64>,
}

/// How far the stages of a plan are; those that it has no need of are left out.
pub fn status(plan: &Plan, layout: &Layout) -> Vec<StageStatus> {
    let sets: Vec<u64> = plan.set_blocks().into_iter().map(|set| set.block.id.0).collect();
    let (mut stages, n_blocks) = (Vec::new(), plan.n_blocks());
    if !sets.is_empty() {
        stages.push(status_of(
            layout,
            StageName::Thresholds,
            (sets.len() as u64, sets.into_iter()),
        ));
    }
    stages.push(status_of(layout, StageName::Generate, (n_blocks, 0..n_blocks)));
    if plan.extractor.is_some() {
        stages.push(status_of(layout, StageName::Features, (n_blocks, 0..n_blocks)));
    }
    let real = plan.real_blocks().count() as u64;
    if real > 0 {
        stages.push(status_of(layout, StageName::Real, (real, 0..real)));
    }
    stages
}

fn status_of(
    layout: &Layout,
    stage: StageName,
    (n_blocks, blocks): (u64, impl Iterator<Item = u64>),
) -> StageStatus {
    let mut status = StageStatus {
        stage: stage.as_str(),
        n_blocks,
        n_present: 0,
        missing: Vec::new(),
        failed: Vec::new(),
    };
    let failures = failures(layout, stage);
    for block in blocks {
        if layout.part(stage, BlockId(block)).exists() {
            status.n_present += 1;
        } else if failures.contains(&block) {
            status.failed.push(block);
        } else if status.missing.len() < 100 {
            status.missing.push(block);
        }
    }
    status
}

/// Blocks that a file says have failed. Few do, so they are listed: asking for each name would double the time of
/// a status.
fn failures(layout: &Layout, stage: StageName) -> BTreeSet<u64> {
    let folder = failure_file(layout, stage, 0).with_file_name("");
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let block = |name: &str| name.strip_prefix("block-")?.strip_suffix(".json")?.parse().ok();
    entries.filter_map(|entry| block(entry.file_name().to_str()?)).collect()
}

/// File that tells why a block failed.
pub(super) fn failure_file(layout: &Layout, stage: StageName, block: u64) -> PathBuf {
    layout.stage_folder(stage).join("failed").join(format!("block-{block:06}.json"))
}

/// Notes why a block of a stage failed.
pub(super) fn record_failure(
    run: &Run<'_>,
    stage: StageName,
    block: &Block,
    error: &ModelError,
) -> Result<(), StageError> {
    let path = failure_file(&run.layout, stage, block.id.0);
    let write = |source| StoreError::Write { path: path.clone(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(write)?;
    }
    let note = serde_json::json!({
        "block": block.id.0,
        "samples": [block.samples.start, block.samples.end],
        "error": error.to_string(),
    });
    publish(&path, format!("{note}\n").as_bytes())
        .map_err(|source| StoreError::Write { path: path.clone(), source })?;
    Ok(())
}

/// What a stage did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageSummary {
    /// Blocks of this shard.
    pub n_blocks: usize,
    /// Blocks that were there before.
    pub n_found: usize,
    /// Blocks that the limit left for another time.
    pub n_left: usize,
    /// Images of the blocks done now.
    pub n_images: u64,
    /// Wall time.
    pub wall: Duration,
    /// Wall time inside networks, added up over those that worked side by side.
    pub network: Duration,
    /// Wall time of encoding, hashing and writing parts, added up like `network`.
    pub publish: Duration,
    /// Networks that worked side by side; 0 where there was nothing to do.
    pub n_networks: usize,
    /// Images a network call at the end: fewer than were asked for where memory did not hold them.
    pub batch_size: usize,
}
