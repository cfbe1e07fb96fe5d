//! Blocks of sample ids: what is worked on, published and lost as one.

use std::ops::Range;

use crate::units::{BlockId, SampleId};

use super::{Plan, Shard};

/// Consecutive sample ids. The last block of a plan may be shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number, from 0.
    pub id: BlockId,
    /// Sample ids.
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

impl Plan {
    /// Number of blocks.
    pub fn n_blocks(&self) -> u64 {
        self.n_pool.div_ceil(u64::from(self.block_size))
    }

    /// All blocks, in order. Computed as they are asked for: a plan of ten million images is as
    /// small as one of ten.
    pub fn blocks(&self) -> impl Iterator<Item = Block> + '_ {
        (0..self.n_blocks()).map(|id| {
            let start = id * u64::from(self.block_size);
            let end = (start + u64::from(self.block_size)).min(self.n_pool);
            Block { id: BlockId(id), samples: start..end }
        })
    }
}

/// Blocks of a shard that are not done: resume is this subtraction, nothing else.
///
/// # Errors
/// The first error of `is_done`.
pub fn outstanding<E>(
    plan: &Plan,
    shard: Shard,
    mut is_done: impl FnMut(&Block) -> Result<bool, E>,
) -> Result<Vec<Block>, E> {
    let mut blocks = Vec::new();
    for block in plan.blocks().filter(|block| shard.takes(block.id)) {
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
    use crate::plan::resolve::tests::tiny_plan;

    proptest! {
        #[test]
        fn shards_partition_the_plan(n_pool in 3_u64..500, block_size in 1_u32..70, count in 1_u32..9) {
            let mut plan = tiny_plan();
            plan.n_pool = n_pool;
            plan.block_size = block_size;
            let mut seen = BTreeSet::new();
            for index in 0..count {
                let shard = Shard::new(index, count).unwrap();
                for block in outstanding(&plan, shard, |_| Ok::<_, ()>(false)).unwrap() {
                    for sample in block.samples {
                        prop_assert!(seen.insert(sample), "sample {sample} is in two shards");
                    }
                }
            }
            prop_assert_eq!(seen, (0..n_pool).collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn done_blocks_are_not_outstanding() {
        let mut plan = tiny_plan();
        plan.n_pool = 20;
        plan.block_size = 8;
        let left =
            outstanding(&plan, Shard::whole(), |block| Ok::<_, ()>(block.id.0 == 1)).unwrap();
        let expected =
            [Block { id: BlockId(0), samples: 0..8 }, Block { id: BlockId(2), samples: 16..20 }];
        assert_eq!(left, expected);
        assert_eq!(left[1].len(), 4);
    }

    #[test]
    fn ten_million_samples_are_planned_without_holding_them() {
        let mut plan = tiny_plan();
        plan.n_pool = 10_000_000;
        plan.block_size = 256;
        let shard = Shard::new(999, 1000).unwrap();
        let blocks = outstanding(&plan, shard, |_| Ok::<_, ()>(false)).unwrap();
        assert_eq!(blocks.len(), 39);
        assert_eq!(plan.blocks().last().unwrap().samples.end, 10_000_000);
    }
}
