//! Real images of the reference whose features are kept: which ones, and in which blocks.

use super::version::FEATURES_VERSION;
use super::{Block, Work};
use crate::canonical::fingerprint;
use crate::noise::{NoiseKey, Purpose, uniform_below};
use crate::units::{BlockId, SampleId};

/// Real images of one part. It is no setting, so that experiments with blocks of other sizes share their parts.
const BLOCK: u64 = 128;

impl Work {
    /// Places of the real images in their data set, ascending; none where the work draws none.
    pub fn real_samples(&self) -> Vec<SampleId> {
        self.real.as_ref().map_or_else(Vec::new, |real| draw(self.seed, real.n, real.of))
    }

    /// Blocks of the real images: `samples` are places among [`Work::real_samples`].
    pub fn real_blocks(&self) -> impl Iterator<Item = Block> + use<> {
        let n = self.real.as_ref().map_or(0, |real| real.n);
        (0..n.div_ceil(BLOCK)).map(move |id| {
            let start = id * BLOCK;
            Block { id: BlockId(id), samples: start..(start + BLOCK).min(n) }
        })
    }

    /// Hash of what fixes the features of the real images: their pixels, their places, and the feature network.
    pub fn real_id(&self) -> String {
        fingerprint(&("real", FEATURES_VERSION, self.seed, &self.real, &self.extractor))
    }
}

/// `n` of the images `0 .. of`, each set of that size as likely as any other, ascending: the images of least keyed number.
///
/// # Why not the first?
/// Data sets are sorted by class more often than not. A draw of fewer images is a part of a draw of more.
///
/// # Examples
/// ```
/// use dubench::plan::real_images::draw;
/// let (few, more) = (draw(0, 10, 50_000), draw(0, 20, 50_000));
/// assert_eq!(few.len(), 10);
/// assert!(few.iter().all(|image| more.contains(image)));
/// assert_ne!(few, draw(1, 10, 50_000));
/// ```
pub fn draw(seed: u64, n: u64, of: u64) -> Vec<SampleId> {
    let number = |sample: SampleId| {
        let key = NoiseKey { seed, purpose: Purpose::Subset, sample, step: 1, draw: 0 };
        uniform_below(key, u32::MAX)
    };
    let mut ranked: Vec<(u32, SampleId)> =
        (0..of).map(SampleId).map(|sample| (number(sample), sample)).collect();
    ranked.sort_unstable();
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    let mut drawn: Vec<SampleId> = ranked.into_iter().take(n).map(|(_, sample)| sample).collect();
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_even_over_the_data_set() {
        let drawn = draw(3, 2_048, 50_000);
        assert!(drawn.windows(2).all(|two| two[0] < two[1]));
        // A hypergeometric number: 2,048 * 0.2 on average in each fifth, sd 17.7; five of them.
        for fifth in 0..5 {
            let inside = |sample: &&SampleId| sample.0 / 10_000 == fifth;
            let n = drawn.iter().filter(inside).count() as f64;
            assert!((n - 409.6).abs() < 3.5 * 17.7, "{n} in fifth {fifth}");
        }
    }

    #[test]
    fn all_of_a_data_set_is_all_of_it() {
        assert_eq!(draw(0, 7, 7), (0..7).map(SampleId).collect::<Vec<_>>());
    }
}
