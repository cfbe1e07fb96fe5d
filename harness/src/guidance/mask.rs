//! Which elements a guidance rule rewrites.

use ndarray::{Array4, ArrayRef3, ArrayRef4, Axis};

use super::error::check_percentile;
use super::{GuidanceError, StepThresholds, quantile_linear};
use crate::model::ModelError;
use crate::units::StepIndex;

/// Which side of a threshold is rewritten. The comparison is strict on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `U > threshold`: the uncertain elements, the paper's choice.
    Above,
    /// `U < threshold`: the certain ones, an option of the released code.
    Below,
}

/// Where the threshold comes from.
///
/// DIFFERENCE (D12): Algorithm 2 takes a percentile of the map at hand, the text one over 10,000 samples, the released code
/// one for each pixel over 3,000. All three are here; the first is the default.
#[derive(Clone, Debug, PartialEq)]
pub enum MaskRule {
    /// The percentile of each image's own map over channels and pixels.
    PerImage {
        /// Fraction, 0.95 in the paper.
        percentile: f64,
        /// Which side is rewritten.
        side: Side,
    },
    /// Thresholds of a generated set, by loop index.
    Dataset {
        /// The thresholds.
        thresholds: StepThresholds,
        /// Which side is rewritten.
        side: Side,
    },
}

impl MaskRule {
    /// Elements above the `percentile` of their own image.
    ///
    /// # Errors
    /// [`GuidanceError::Percentile`] outside [0, 1].
    pub fn per_image(percentile: f64) -> Result<Self, GuidanceError> {
        check_percentile(percentile)?;
        Ok(Self::PerImage { percentile, side: Side::Above })
    }

    /// Elements above the thresholds of a generated set.
    pub fn dataset(thresholds: StepThresholds) -> Self {
        Self::Dataset { thresholds, side: Side::Above }
    }

    /// The same rule on another side.
    #[must_use]
    pub fn on(mut self, new: Side) -> Self {
        match &mut self {
            Self::PerImage { side, .. } | Self::Dataset { side, .. } => *side = new,
        }
        self
    }

    /// The elements of `u [b, c, h, w]` that are rewritten at loop index `index`.
    ///
    /// # Errors
    /// [`ModelError::Runtime`] when there is no threshold for the step or its shape differs.
    pub fn mask(&self, index: StepIndex, u: &ArrayRef4<f32>) -> Result<Array4<bool>, ModelError> {
        let mut mask = Array4::from_elem(u.raw_dim(), false);
        for (mut marks, row) in mask.axis_iter_mut(Axis(0)).zip(u.axis_iter(Axis(0))) {
            let (limits, side) = self.limits(index, &row)?;
            for ((mark, u), limit) in marks.iter_mut().zip(row).zip(limits) {
                *mark = match side {
                    Side::Above => f64::from(*u) > limit,
                    Side::Below => f64::from(*u) < limit,
                };
            }
        }
        Ok(mask)
    }

    /// One limit an element of a row.
    fn limits<'a>(
        &'a self,
        index: StepIndex,
        row: &ArrayRef3<f32>,
    ) -> Result<(Box<dyn Iterator<Item = f64> + 'a>, Side), ModelError> {
        let step = index.0 as usize;
        match self {
            Self::PerImage { percentile, side } => {
                let mut values: Vec<f32> = row.iter().copied().collect();
                let limit = quantile_linear(&mut values, *percentile);
                let limit = limit.ok_or_else(|| missing(index, "the map is empty"))?;
                Ok((Box::new(std::iter::repeat(limit)), *side))
            }
            Self::Dataset { thresholds: StepThresholds::Scalar(limits), side } => {
                let limit =
                    limits.get(step).ok_or_else(|| missing(index, "the set has fewer steps"))?;
                Ok((Box::new(std::iter::repeat(*limit)), *side))
            }
            Self::Dataset { thresholds: StepThresholds::Pixel(limits), side } => {
                if step >= limits.shape()[0] || limits.shape()[1..] != *row.shape() {
                    return Err(missing(
                        index,
                        "the set has another number of steps or image shape",
                    ));
                }
                let limits = limits.index_axis(Axis(0), step);
                Ok((Box::new(limits.into_iter().map(|limit| f64::from(*limit))), *side))
            }
        }
    }
}

fn missing(index: StepIndex, reason: &str) -> ModelError {
    ModelError::Runtime {
        context: "guidance mask".to_owned(),
        message: format!("there is no threshold for {index}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(b: usize) -> Array4<f32> {
        Array4::from_shape_fn((b, 3, 4, 5), |(b, c, i, j)| (100 * b + 20 * c + 5 * i + j) as f32)
    }

    fn n_marked(mask: &Array4<bool>) -> usize {
        mask.iter().filter(|mark| **mark).count()
    }

    #[test]
    fn five_per_cent_of_each_image_lie_strictly_above_its_percentile() {
        let rule = MaskRule::per_image(0.95).unwrap();
        let mask = rule.mask(StepIndex(0), &ramp(4)).unwrap();
        assert_eq!(n_marked(&mask), 4 * 3); // 0.05 x 60 elements
        assert!(mask.axis_iter(Axis(0)).all(|row| row[[2, 3, 4]] && !row[[0, 0, 0]]));
        let below = rule.on(Side::Below).mask(StepIndex(0), &ramp(4)).unwrap();
        assert_eq!(n_marked(&below), 4 * 57);
    }

    #[test]
    fn a_constant_map_marks_nothing() {
        let rule = MaskRule::per_image(0.0).unwrap();
        let flat = Array4::from_elem((1, 1, 3, 3), 0.7);
        assert_eq!(n_marked(&rule.mask(StepIndex(0), &flat).unwrap()), 0);
    }

    #[test]
    fn thresholds_of_a_set_are_those_of_the_step() {
        let scalar = MaskRule::dataset(StepThresholds::Scalar(vec![1000.0, 57.5]));
        assert_eq!(n_marked(&scalar.mask(StepIndex(0), &ramp(1)).unwrap()), 0);
        assert_eq!(n_marked(&scalar.mask(StepIndex(1), &ramp(1)).unwrap()), 2);
        let pixel =
            Array4::from_shape_fn(
                (2, 3, 4, 5),
                |(step, _, _, j)| {
                    if step == 1 && j == 2 { -1.0 } else { 1e6 }
                },
            );
        let pixel = MaskRule::dataset(StepThresholds::Pixel(pixel));
        let mask = pixel.mask(StepIndex(1), &ramp(2)).unwrap();
        assert_eq!(n_marked(&mask), 2 * 12);
        assert!(pixel.mask(StepIndex(2), &ramp(2)).is_err());
        assert!(scalar.mask(StepIndex(2), &ramp(2)).is_err());
    }

    #[test]
    fn a_percentile_of_ninety_five_is_refused() {
        let message = MaskRule::per_image(95.0).unwrap_err().to_string();
        assert!(message.contains("expected a fraction from 0 to 1"), "{message}");
    }
}
