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

/// As [`in_batches`], where each call takes what `make` makes of its rows. Where the network computes elsewhere, that of the
/// next call is made on the host's cores while this one runs; where it computes on the same cores, nothing is gained by that.
///
/// # Errors
/// As [`in_batches`].
pub fn in_batches_of<T: Send>(
    (rows, max_batch): (usize, NonZeroUsize),
    network: &mut Network<'_>,
    make: &(dyn Fn(Range<usize>) -> T + Sync),
    mut call: impl FnMut(&mut Network<'_>, Range<usize>, T) -> Result<Array4<f32>, ModelError>,
) -> Result<Array4<f32>, ModelError> {
    let mut ahead = Ahead::new((rows, max_batch), make);
    in_batches(rows, max_batch, |range| ahead.call(network, range, &mut call))
}

/// What calls take, made before its turn where the network leaves the host's cores free.
pub(super) struct Ahead<'a, T> {
    rows: usize,
    max_batch: NonZeroUsize,
    make: &'a (dyn Fn(Range<usize>) -> T + Sync),
    made: Option<T>,
}

impl<'a, T: Send> Ahead<'a, T> {
    /// For consecutive ranges of at most `max_batch` of `rows` rows.
    pub(super) fn new(
        (rows, max_batch): (usize, NonZeroUsize),
        make: &'a (dyn Fn(Range<usize>) -> T + Sync),
    ) -> Self {
        Self { rows, max_batch, make, made: None }
    }

    /// Calls `call` with what was made of `range`, and makes that of the next range meanwhile.
    pub(super) fn call<A>(
        &mut self,
        network: &mut Network<'_>,
        range: Range<usize>,
        call: impl FnOnce(&mut Network<'_>, Range<usize>, T) -> A,
    ) -> A {
        let make = self.make;
        let made = self.made.take().unwrap_or_else(|| make(range.clone()));
        let next = range.end..self.rows.min(range.end.saturating_add(self.max_batch.get()));
        if next.is_empty() || !network.is_elsewhere() {
            return call(network, range, made);
        }
        let (answer, made) = std::thread::scope(|scope| {
            let maker = scope.spawn(|| make(next));
            let answer = call(network, range, made);
            (answer, maker.join())
        });
        self.made = Some(made.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        answer
    }
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
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::model::{Denoiser, DenoiserSpec};
    use crate::schedule::NoiseLevel;
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

    /// A network that computes elsewhere, and answers what it is asked.
    struct Echo(DenoiserSpec);

    impl Denoiser for Echo {
        fn spec(&self) -> &DenoiserSpec {
            &self.0
        }

        fn is_elsewhere(&self) -> bool {
            true
        }

        fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
            Ok(input.x.to_owned())
        }
    }

    #[test]
    fn what_the_next_call_takes_is_made_while_this_one_runs() {
        let spec = DenoiserSpec {
            name: "echo".to_owned(),
            shape: [1, 1, 1],
            n_classes: None,
            has_conditions: false,
            clip_x0: false,
            range: [-1.0, 1.0],
            dropout_mask_len: None,
            dropout_p: None,
            dropout_reason: None,
        };
        let (mut echo, n_made) = (Echo(spec), AtomicUsize::new(0));
        let make = |rows: Range<usize>| {
            n_made.fetch_add(1, Ordering::SeqCst);
            Array4::from_shape_fn((rows.len(), 1, 1, 1), |(i, ..)| (rows.start + i) as f32)
        };
        let mut n_calls = 0;
        let rows = (7, NonZeroUsize::new(2).unwrap());
        let answer =
            in_batches_of(rows, &mut Network::new(&mut echo), &make, |network, rows, x| {
                n_calls += 1;
                // A call that ends when the next one can begin: made one after another, it would never end.
                let patience = Instant::now() + Duration::from_mins(1);
                while n_made.load(Ordering::SeqCst) < (n_calls + 1).min(4) {
                    assert!(Instant::now() < patience, "nothing is made during call {n_calls}");
                    std::thread::yield_now();
                }
                let place = NoisePoint { t: 0.0, level: NoiseLevel::CLEAN };
                let t = vec![place; rows.len()];
                network.epsilon(NfeKind::Estimator, NetworkInput { x: x.view(), t: &t, y: None })
            });
        let answer = answer.unwrap().into_raw_vec_and_offset().0;
        assert_eq!(answer, (0..7).map(|i| i as f32).collect::<Vec<_>>());
        assert_eq!((n_calls, n_made.into_inner()), (4, 4));
    }

    #[test]
    fn conditions_repeat_with_the_batch() {
        let batch = [4, 9].map(|id| Condition::of_sample(SampleId(id)));
        let got = conditions_of(Some(&batch), 1..4).unwrap();
        assert_eq!(got, [batch[1], batch[0], batch[1]]);
        assert_eq!(conditions_of(None, 0..2), None);
    }
}
