//! Blocks whose wall times are evidence: one network, a warm-up, a random order, known company.
//!
//! # Why a random order?
//! What is timed first finds cold caches and a cool processor, what is timed last a machine that has slowed down. The arms
//! of one repeat stand next to each other, each time in another keyed order, so that neither favours an arm.

use std::time::Duration;

use crate::noise::{NoiseKey, Purpose, uniform_below};
use crate::plan::Block;
use crate::store::records::ImagePart;
use crate::units::SampleId;

use super::block::generate_block;
use crate::stage::open::OpenModel;
use crate::stage::run::{Company, Load};
use crate::stage::settings::GenerateOptions;
use crate::stage::{Run, StageError};

/// Cores that others may keep busy while times are taken.
pub(super) const QUIET_CORES: f64 = 0.1;

/// How long others are watched before the first block.
const LISTEN: Duration = Duration::from_millis(600);

/// Takes the times of a run, where its protocol asks for them; does nothing elsewhere.
pub(super) struct Clock<'a> {
    run: &'a Run<'a>,
    is_asked_for: bool,
}

impl<'a> Clock<'a> {
    /// # Errors
    /// [`StageError::Untimeable`] for a share of the blocks, for networks side by side, and for blocks that take turns.
    pub(super) fn of(run: &'a Run<'a>, options: GenerateOptions) -> Result<Self, StageError> {
        let is_asked_for = run.plan.protocol.needs().times_are_evidence();
        let refuse = |what: String, remedy| Err(StageError::Untimeable { what, remedy });
        if is_asked_for && !run.shard.is_whole() {
            let what = format!("shard {} is a share of the blocks", run.shard);
            return refuse(what, "run all of them in one process, without --shard");
        }
        if is_asked_for && options.networks.get() > 1 {
            let what = format!("{} networks would disturb each other", options.networks);
            return refuse(what, "set --networks 1");
        }
        if is_asked_for && options.turns.get() > 1 {
            let what = format!("{} blocks at a time would wait for each other", options.turns);
            return refuse(what, "set --turns 1");
        }
        Ok(Self { run, is_asked_for })
    }

    /// The blocks repeat by repeat, the arms of each repeat in a keyed random order.
    pub(super) fn ordered(&self, mut blocks: Vec<Block>) -> Vec<Block> {
        if self.is_asked_for {
            let plan = self.run.plan;
            blocks.sort_by_cached_key(|block| {
                let arm = plan.arm_of(block.id).map_or(0, |placed| placed.index);
                let sample = SampleId(block.samples.start);
                let step = u32::try_from(arm).unwrap_or(u32::MAX);
                let purpose = Purpose::Order;
                let key = NoiseKey { seed: plan.seed, purpose, sample, step, draw: 0 };
                (block.samples.start, uniform_below(key, u32::MAX), arm)
            });
        }
        blocks
    }

    /// What the manifest says of the machine beyond what it always says.
    pub(super) fn processor(&self) -> Option<(String, String)> {
        let load = self.run.load.filter(|_| self.is_asked_for)?;
        Some(("processor".to_owned(), load.processor()?))
    }

    /// One batch of each arm that has blocks to do.
    pub(super) fn warm_up(&self, blocks: &[Block], options: GenerateOptions) -> Vec<Block> {
        if !self.is_asked_for {
            return Vec::new();
        }
        let batch = options.batch_size.get() as u64;
        let arms = self.run.plan.placed_arms().filter_map(|placed| {
            let first = blocks.iter().find(|block| placed.block_ids.contains(&block.id.0))?;
            let end = first.samples.end.min(first.samples.start + batch);
            Some(Block { id: first.id, samples: first.samples.start..end })
        });
        arms.collect()
    }

    /// Listens whether others are at work, and warms up. What is made is thrown away.
    ///
    /// # Errors
    /// [`StageError::Busy`], and those of making a block.
    pub(super) fn begin(
        &self,
        warm_up: &[Block],
        (options, model): (GenerateOptions, &mut OpenModel),
    ) -> Result<(), StageError> {
        if !self.is_asked_for {
            return Ok(());
        }
        if let Some(load) = self.run.load {
            load.others();
            std::thread::sleep(LISTEN);
            self.judge(load.others(), "before the first block")?;
        }
        for block in warm_up {
            generate_block(self.run, options, model, block)?;
        }
        Ok(())
    }

    /// Begins to watch others.
    pub(super) fn start(&self) {
        if let Some(load) = self.run.load.filter(|_| self.is_asked_for) {
            load.others();
        }
    }

    /// Notes in a part how busy others were since [`Clock::start`].
    ///
    /// # Errors
    /// [`StageError::Busy`].
    pub(super) fn stop(&self, mut part: ImagePart) -> Result<ImagePart, StageError> {
        if let Some(timed) = &mut part.timed {
            timed.other_cores = self.run.load.and_then(Load::others);
            self.judge(timed.other_cores, &format!("beside block {}", part.block))?;
        }
        Ok(part)
    }

    fn judge(&self, cores: Option<f64>, when: &str) -> Result<(), StageError> {
        match cores {
            Some(cores) if cores > QUIET_CORES && self.run.company == Company::Refuse => {
                Err(StageError::Busy { cores, when: when.to_owned() })
            }
            _ => Ok(()),
        }
    }
}
