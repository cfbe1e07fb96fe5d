//! Blocks of sample ids: what is worked on, published and lost as one.

use std::ops::Range;

use crate::units::{BlockId, SampleId};

use super::{ArmPlan, Shard, Work};

/// Consecutive sample ids of one arm. The last block of an arm may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number over all arms, from 0.
    pub id: BlockId,
    /// Sample ids: the same in every arm, so that arms start from the same draws.
    pub samples: Range<u64>,
}

impl Block {
    /// Number of samples.
    pub fn len(&self) -> u64 {
        self.samples.end - self.samples.start
    }

    /// Whether there are none; never true for a block of a plan.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The sample ids, ascending.
    pub fn sample_ids(&self) -> Vec<SampleId> {
        self.samples.clone().map(SampleId).collect()
    }
}

/// An arm, its place in the work, and the numbers of its blocks.
#[derive(Clone, Debug)]
pub struct PlacedArm<'a> {
    /// The arm.
    pub arm: &'a ArmPlan,
    /// Its place among the arms.
    pub index: usize,
    /// Numbers of its blocks.
    pub block_ids: Range<u64>,
    block_size: u64,
}

impl PlacedArm<'_> {
    /// Its blocks, in order. Computed as they are asked for.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let (first, n, size) = (self.block_ids.start, self.arm.n, self.block_size);
        self.block_ids.clone().map(move |id| {
            let start = (id - first) * size;
            Block { id: BlockId(id), samples: start..(start + size).min(n) }
        })
    }

    /// Number of the block that holds a sample.
    pub fn block_of(&self, sample: SampleId) -> BlockId {
        BlockId(self.block_ids.start + sample.0 / self.block_size)
    }
}

impl Work {
    /// The arms in order, each with its blocks.
    pub fn placed_arms(&self) -> impl Iterator<Item = PlacedArm<'_>> {
        let block_size = u64::from(self.block_size);
        self.arms.iter().enumerate().scan(0, move |next, (index, arm)| {
            let first = *next;
            *next += arm.n.div_ceil(block_size);
            Some(PlacedArm { arm, index, block_ids: first..*next, block_size })
        })
    }

    /// The arm that a block belongs to; `None` for a block of other work.
    pub fn arm_of(&self, block: BlockId) -> Option<PlacedArm<'_>> {
        self.placed_arms().find(|placed| placed.block_ids.contains(&block.0))
    }

    /// Number of blocks, over all arms.
    pub fn n_blocks(&self) -> u64 {
        self.arms.iter().map(|arm| arm.n.div_ceil(u64::from(self.block_size))).sum()
    }

    /// Number of images, over all arms.
    pub fn n_images(&self) -> u64 {
        self.arms.iter().map(|arm| arm.n).sum()
    }

    /// All blocks, in order: those of the first arm, then those of the second. Computed as they are asked for: work over
    /// ten million images is as small as over ten.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        self.placed_arms().flat_map(|placed| placed.blocks())
    }
}

/// Blocks of a shard that are not done: resume is this subtraction, nothing else.
///
/// # Errors
/// The first error of `is_done`.
pub fn outstanding<E>(
    work: &Work,
    shard: Shard,
    mut is_done: impl FnMut(&Block) -> Result<bool, E>,
) -> Result<Vec<Block>, E> {
    let mut blocks = Vec::new();
    for block in work.blocks().filter(|block| shard.takes(block.id)) {
        if !is_done(&block)? {
            blocks.push(block);
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::experiment::tests::{tiny_plan, tiny_reconstruction_plan};

    proptest! {
        #[test]
        fn shards_partition_the_work(
            n in proptest::collection::vec(1_u64..200, 1..4),
            block_size in 1_u32..70,
            count in 1_u32..9,
        ) {
            let mut work = tiny_plan().work;
            work.block_size = block_size;
            work.arms = n.iter().map(|n| ArmPlan { n: *n, ..work.arms[0].clone() }).collect();
            let mut seen = BTreeSet::new();
            for index in 0..count {
                let shard = Shard::new(index, count).unwrap();
                for block in outstanding(&work, shard, |_| Ok::<_, ()>(false)).unwrap() {
                    let arm = work.arm_of(block.id).unwrap();
                    prop_assert!(arm.blocks().any(|own| own == block));
                    for sample in block.samples {
                        prop_assert_eq!(arm.block_of(SampleId(sample)), block.id);
                        prop_assert!(seen.insert((arm.index, sample)), "sample {sample} is in two shards");
                    }
                }
            }
            let all = n.iter().enumerate().flat_map(|(arm, n)| (0..*n).map(move |i| (arm, i)));
            prop_assert_eq!(seen, all.collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn done_blocks_are_not_outstanding() {
        let mut work = tiny_plan().work;
        work.arms[0].n = 20;
        work.block_size = 8;
        let left =
            outstanding(&work, Shard::whole(), |block| Ok::<_, ()>(block.id.0 == 1)).unwrap();
        let expected =
            [Block { id: BlockId(0), samples: 0..8 }, Block { id: BlockId(2), samples: 16..20 }];
        assert_eq!(left, expected);
        assert_eq!(left[1].len(), 4);
    }

    #[test]
    fn every_arm_has_blocks_of_its_own_over_the_same_samples() {
        let work = tiny_reconstruction_plan().work;
        let blocks: Vec<(String, Range<u64>)> = work
            .blocks()
            .map(|block| (work.arm_of(block.id).unwrap().arm.name.clone(), block.samples))
            .collect();
        let expected =
            [("corrected", 0..4), ("corrected", 4..8), ("half_t", 0..4), ("authors_code", 0..4)];
        assert_eq!(blocks, expected.map(|(name, samples)| (name.to_owned(), samples)));
        assert_eq!((work.n_blocks(), work.n_images()), (4, 16));
        assert!(work.arm_of(BlockId(4)).is_none());
    }

    #[test]
    fn ten_million_samples_are_planned_without_holding_them() {
        let mut work = tiny_plan().work;
        work.arms[0].n = 10_000_000;
        work.block_size = 256;
        let shard = Shard::new(999, 1000).unwrap();
        let blocks = outstanding(&work, shard, |_| Ok::<_, ()>(false)).unwrap();
        assert_eq!(blocks.len(), 39);
        assert_eq!(work.blocks().last().unwrap().samples.end, 10_000_000);
    }
}
