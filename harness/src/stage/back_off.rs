//! Fewer images a call where memory does not hold more.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::ModelError;

use super::StageError;
use super::open::OpenModel;

/// Images a call that memory has held so far; networks side by side share it, as they share the memory.
pub(super) struct BackOff(AtomicUsize);

impl BackOff {
    /// Starts from the batch size of the call.
    pub(super) fn new(batch_size: NonZeroUsize) -> Self {
        Self(AtomicUsize::new(batch_size.get()))
    }

    /// Images a call by now.
    pub(super) fn batch_size(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.0.load(Ordering::SeqCst)).unwrap_or(NonZeroUsize::MIN)
    }

    /// Calls `attempt` with a batch size; where memory runs out, again with half of it.
    ///
    /// # Why only where the self-test has found rows independent of their batch?
    /// Elsewhere the batch size moves digits, and is pinned by the manifest.
    ///
    /// # Errors
    /// Those of `attempt`; that memory has run out with one image, or where the batch size is pinned.
    pub(super) fn run<T>(
        &self,
        model: &mut OpenModel,
        mut attempt: impl FnMut(NonZeroUsize, &mut OpenModel) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        let free = model.self_test.is_none_or(|report| report.is_invariant());
        loop {
            let batch_size = self.batch_size();
            match attempt(batch_size, model) {
                Err(StageError::Model(ModelError::OutOfMemory { context, message }))
                    if free && batch_size.get() > 1 =>
                {
                    let (now, half) = (batch_size.get(), batch_size.get() / 2);
                    tracing::warn!(context, message, now, half, "memory has run out");
                    // A network beside this one may have halved it already.
                    let order = Ordering::SeqCst;
                    let _ = self.0.compare_exchange(now, half, order, order);
                }
                ended => return ended,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use crate::exit::{Exit, Exits};
    use crate::model::onnx::SelfTestReport;
    use crate::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
    use crate::plan::Shard;
    use crate::stage::open::OpenModel;
    use crate::stage::tests::{Bench, one_network};
    use crate::stage::{StageError, StageSummary, Stop, generate::generate};

    /// Memory for `most` rows a call.
    struct Small {
        inner: Box<dyn Denoiser>,
        most: usize,
    }

    impl Denoiser for Small {
        fn spec(&self) -> &DenoiserSpec {
            self.inner.spec()
        }

        fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
            if input.t.len() <= self.most {
                return self.inner.epsilon(input);
            }
            let message = format!("Failed to allocate memory for {} rows", input.t.len());
            Err(ModelError::OutOfMemory { context: "small".to_owned(), message })
        }
    }

    /// Generates with memory for `most` rows and a self-test that found this difference between batches.
    fn generated(
        bench: &Bench,
        name: &str,
        (most, difference): (usize, f32),
    ) -> Result<StageSummary, StageError> {
        let stop = Stop::default();
        let run = bench.run(name, Shard::whole(), &stop);
        generate(&run, one_network(16), &mut || {
            let model = bench.open()?;
            let report = SelfTestReport {
                n_rows: 5,
                largest: 1.0,
                against_single: difference,
                against_reversed: 0.0,
                against_repeat: 0.0,
            };
            let denoiser = Box::new(Small { inner: model.denoiser, most });
            Ok(OpenModel { denoiser, self_test: Some(report), ..model })
        })
    }

    #[test]
    fn with_little_memory_fewer_images_a_call_give_the_same_digits() {
        let bench = Bench::new();
        let expected = bench.all("whole", 16).unwrap().digest;
        let summary = generated(&bench, "small", (5, 0.0)).unwrap();
        assert_eq!(summary.batch_size, 4);
        assert_eq!(bench.all("small", 16).unwrap().digest, expected);
    }

    #[test]
    fn with_no_memory_for_one_image_the_run_ends_with_the_code_of_resources() {
        let error = generated(&Bench::new(), "work", (0, 0.0)).unwrap_err();
        assert_eq!(error.exit(), Exit::Resources);
        assert!(error.to_string().contains("for 1 rows; run the same command again"), "{error}");
    }

    #[test]
    fn where_rows_depend_on_their_batch_it_is_never_made_smaller_in_silence() {
        let error = generated(&Bench::new(), "work", (5, 1e-7)).unwrap_err();
        assert_eq!(error.exit(), Exit::Resources);
        assert!(error.to_string().contains("for 16 rows"), "{error}");
    }
}
