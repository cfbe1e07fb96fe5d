//! Many rows, few at a time: network calls of a bounded size.

use std::num::NonZeroUsize;
use std::ops::Range;

use ndarray::{Array4, ArrayRef4, Axis, concatenate, s};

use crate::model::{Condition, ModelError, Network, NetworkInput};
use crate::schedule::NoisePoint;
use crate::units::NfeKind;

/// Calls `call` on consecutive ranges of at most `max_batch` of `rows` rows and joins the answers.
///
/// # Errors
/// The first error of `call`; [`ModelError::Runtime`] when answers of different shape come back.
pub fn in_batches(
    rows: usize,
    max_batch: NonZeroUsize,
    mut call: impl FnMut(Range<usize>) -> Result<Array4<f32>, ModelError>,
) -> Result<Array4<f32>, ModelError> {
    if rows <= max_batch.get() {
        return call(0..rows);
    }
    let starts = (0..rows).step_by(max_batch.get());
    let parts = starts
        .map(|start| call(start..rows.min(start + max_batch.get())))
        .collect::<Result<Vec<_>, _>>()?;
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    concatenate(Axis(0), &views).map_err(|error| ModelError::Runtime {
        context: "joining the answers of network calls".to_owned(),
        message: error.to_string(),
    })
}

/// `epsilon_hat` of `x [rows, c, h, w]`, all at one place of the schedule, in calls of at most `max_batch` rows.
///
/// Row `i` has the condition `conditions[i % conditions.len()]`, so that those of one batch serve any number of
/// copies of it, draw after draw.
///
/// # Errors
/// As [`Network::epsilon`].
pub fn epsilon_in_batches(
    network: &mut Network<'_>,
    kind: NfeKind,
    x: &ArrayRef4<f32>,
    place: NoisePoint,
    (conditions, max_batch): (Option<&[Condition]>, NonZeroUsize),
) -> Result<Array4<f32>, ModelError> {
    in_batches(x.shape()[0], max_batch, |rows| {
        let times = vec![place; rows.len()];
        let y = conditions_of(conditions, rows.clone());
        let part = x.slice(s![rows, .., .., ..]);
        network.epsilon(kind, NetworkInput { x: part, t: &times, y: y.as_deref() })
    })
}

/// Conditions of a range of rows, where rows repeat the batch.
pub(crate) fn conditions_of(
    conditions: Option<&[Condition]>,
    rows: Range<usize>,
) -> Option<Vec<Condition>> {
    let conditions = conditions.filter(|conditions| !conditions.is_empty())?;
    Some(rows.map(|row| conditions[row % conditions.len()]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SampleId;

    #[test]
    fn ranges_cover_all_rows_in_order() {
        for (rows, max) in [(7, 3), (6, 3), (1, 5), (5, 5)] {
            let mut sizes = Vec::new();
            let joined = in_batches(rows, NonZeroUsize::new(max).unwrap(), |range| {
                sizes.push(range.len());
                Ok(Array4::from_shape_fn((range.len(), 1, 1, 1), |(i, ..)| {
                    (range.start + i) as f32
                }))
            })
            .unwrap();
            assert!(sizes.iter().all(|n| *n <= max));
            assert_eq!(
                joined.into_raw_vec_and_offset().0,
                (0..rows).map(|i| i as f32).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn conditions_repeat_with_the_batch() {
        let batch = [4, 9].map(|id| Condition::of_sample(SampleId(id)));
        let got = conditions_of(Some(&batch), 1..4).unwrap();
        assert_eq!(got, [batch[1], batch[0], batch[1]]);
        assert_eq!(conditions_of(None, 0..2), None);
    }
}
