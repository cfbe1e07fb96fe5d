//! One network that several workers ask in turn.
//!
//! # Why?
//! A GPU has one network, and a block of images needs the host too: noise, masks, statistics, steps of the sampler, files.
//! While the call of one block runs on the device, the others do their work here, so that the device waits for nobody.
//! Answers depend on their rows alone, so who asks when changes no digit.
//!
//! # Why first come, first served?
//! A plain lock goes to whoever is awake: a block that asks again at once would keep the device until it is done, and the
//! host work of the others would come when nobody is left to overlap with.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ndarray::{Array2, Array4, ArrayView4};

use super::{
    Decoder, Denoiser, DenoiserSpec, Encoder, ExtractorId, FeatureExtractor, MapAndGradient,
    ModelError, NetworkInput, Predictive, StepAnswer, StepInput, StepKind, WeightLook,
};
use crate::units::SampleId;

/// A handle to something that one worker at a time may use, in the order in which they ask.
pub struct InTurn<N: ?Sized> {
    shared: Arc<Turnstile<N>>,
    waited: Duration,
}

impl<N: ?Sized> std::fmt::Debug for InTurn<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InTurn").field("waited", &self.waited).finish_non_exhaustive()
    }
}

impl<N: ?Sized> InTurn<N> {
    /// `n` handles to one thing.
    pub fn share(thing: Box<N>, n: usize) -> Vec<Self> {
        let shared = Arc::new(Turnstile {
            queue: Mutex::default(),
            moved: Condvar::new(),
            thing: Mutex::new(thing),
        });
        (0..n).map(|_| Self { shared: Arc::clone(&shared), waited: Duration::ZERO }).collect()
    }

    /// Calls `call` with the thing when all who asked before are done.
    pub fn ask<T>(&mut self, call: impl FnOnce(&mut N) -> T) -> T {
        let start = Instant::now();
        let _turn = self.shared.take();
        self.waited += start.elapsed();
        call(&mut locked(&self.shared.thing))
    }

    /// Time that this handle has waited for the others.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

/// The thing and those who wait for it.
struct Turnstile<N: ?Sized> {
    queue: Mutex<Queue>,
    moved: Condvar,
    thing: Mutex<Box<N>>,
}

/// Number of the next who asks, and of the one whose turn it is.
#[derive(Default)]
struct Queue {
    next: u64,
    served: u64,
}

impl<N: ?Sized> Turnstile<N> {
    fn take(&self) -> Turn<'_> {
        let mut queue = locked(&self.queue);
        let number = queue.next;
        queue.next += 1;
        while queue.served != number {
            queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Turn { queue: &self.queue, moved: &self.moved }
    }
}

/// A turn; it ends when this is dropped, also by a panic.
struct Turn<'a> {
    queue: &'a Mutex<Queue>,
    moved: &'a Condvar,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        locked(self.queue).served += 1;
        self.moved.notify_all();
    }
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A denoiser that is asked in turn.
#[derive(Debug)]
pub struct SharedDenoiser {
    network: InTurn<dyn Denoiser>,
    spec: DenoiserSpec,
    evaluations_a_row: u64,
    is_elsewhere: bool,
    step_kinds: Vec<StepKind>,
}

impl SharedDenoiser {
    /// `n` handles to one denoiser.
    pub fn share(denoiser: Box<dyn Denoiser>, n: usize) -> Vec<Self> {
        let spec = denoiser.spec().clone();
        let (evaluations_a_row, is_elsewhere) =
            (denoiser.evaluations_a_row(), denoiser.is_elsewhere());
        let step_kinds = denoiser.step_kinds();
        let handles = InTurn::share(denoiser, n).into_iter();
        let handle = |network| {
            let (spec, step_kinds) = (spec.clone(), step_kinds.clone());
            Self { network, spec, evaluations_a_row, is_elsewhere, step_kinds }
        };
        handles.map(handle).collect()
    }
}

impl Denoiser for SharedDenoiser {
    fn spec(&self) -> &DenoiserSpec {
        &self.spec
    }

    fn evaluations_a_row(&self) -> u64 {
        self.evaluations_a_row
    }

    fn is_elsewhere(&self) -> bool {
        self.is_elsewhere
    }

    fn waited(&self) -> Duration {
        self.network.waited()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        self.network.ask(|network| network.epsilon(input))
    }

    fn epsilon_dropout(
        &mut self,
        input: NetworkInput<'_>,
        masks: &Array2<u8>,
        p: f32,
    ) -> Result<Array4<f32>, ModelError> {
        self.network.ask(|network| network.epsilon_dropout(input, masks, p))
    }

    fn epsilon_predictive(
        &mut self,
        input: NetworkInput<'_>,
        look: WeightLook,
    ) -> Result<Predictive, ModelError> {
        self.network.ask(|network| network.epsilon_predictive(input, look))
    }

    fn epsilon_vjp(
        &mut self,
        input: NetworkInput<'_>,
        cotangent: ArrayView4<'_, f32>,
    ) -> Result<(Array4<f32>, Array4<f32>), ModelError> {
        self.network.ask(|network| network.epsilon_vjp(input, cotangent))
    }

    fn variance_gradient(
        &mut self,
        input: NetworkInput<'_>,
        n_draws: u32,
    ) -> Result<Option<MapAndGradient>, ModelError> {
        self.network.ask(|network| network.variance_gradient(input, n_draws))
    }

    fn step_kinds(&self) -> Vec<StepKind> {
        self.step_kinds.clone()
    }

    fn step(&mut self, input: StepInput<'_>) -> Result<StepAnswer, ModelError> {
        self.network.ask(|network| network.step(input))
    }
}

impl Decoder for InTurn<dyn Decoder> {
    fn decode(&mut self, x0: ArrayView4<'_, f32>) -> Result<Array4<u8>, ModelError> {
        self.ask(|decoder| decoder.decode(x0))
    }
}

impl Encoder for InTurn<dyn Encoder> {
    fn encode(&mut self, images: ArrayView4<'_, f32>) -> Result<Array4<f32>, ModelError> {
        self.ask(|encoder| encoder.encode(images))
    }
}

/// A feature network that is asked in turn.
#[derive(Debug)]
pub struct SharedExtractor {
    network: InTurn<dyn FeatureExtractor>,
    id: ExtractorId,
}

impl SharedExtractor {
    /// `n` handles to one feature network.
    pub fn share(extractor: Box<dyn FeatureExtractor>, n: usize) -> Vec<Self> {
        let id = extractor.id().clone();
        let handles = InTurn::share(extractor, n).into_iter();
        handles.map(|network| Self { network, id: id.clone() }).collect()
    }
}

impl FeatureExtractor for SharedExtractor {
    fn id(&self) -> &ExtractorId {
        &self.id
    }

    fn extract(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        self.network.ask(|network| network.extract(images))
    }

    fn extract_samples(
        &mut self,
        images: ArrayView4<'_, u8>,
        samples: &[SampleId],
    ) -> Result<Array2<f32>, ModelError> {
        self.network.ask(|network| network.extract_samples(images, samples))
    }

    fn extract_as_released(
        &mut self,
        images: ArrayView4<'_, u8>,
    ) -> Result<Array2<f32>, ModelError> {
        self.network.ask(|network| network.extract_as_released(images))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_uses_it_and_all_get_their_turn() {
        let (inside, overlapped) = (AtomicBool::new(false), AtomicBool::new(false));
        let handles = InTurn::share(Box::new(Vec::new()), 3);
        let start = Barrier::new(handles.len());
        let order = std::thread::scope(|scope| {
            let (inside, overlapped, start) = (&inside, &overlapped, &start);
            let workers = (0..).zip(handles).map(|(worker, mut handle)| {
                scope.spawn(move || {
                    start.wait();
                    for _ in 0..20 {
                        handle.ask(|seen| {
                            overlapped
                                .fetch_or(inside.swap(true, Ordering::SeqCst), Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(1));
                            seen.push(worker);
                            inside.store(false, Ordering::SeqCst);
                        });
                    }
                    handle
                })
            });
            let workers: Vec<_> = workers.collect();
            let mut handles: Vec<InTurn<Vec<i32>>> =
                workers.into_iter().map(|worker| worker.join().unwrap()).collect();
            assert!(handles.iter().any(|handle| handle.waited() > Duration::ZERO));
            handles[0].ask(|seen| seen.clone())
        });
        assert!(!overlapped.into_inner());
        assert_eq!(order.len(), 60);
        // With a lock that whoever is awake takes there are two: each worker keeps it to its end.
        let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes >= 20, "{order:?}");
    }

    #[test]
    fn a_panic_ends_a_turn_and_not_the_work_of_the_others() {
        let mut handles = InTurn::share(Box::new(0), 2);
        let mut first = handles.remove(0);
        let ended = std::thread::spawn(move || first.ask(|_| panic!("in its turn"))).join();
        assert!(ended.is_err());
        handles[0].ask(|value| *value += 1);
        assert_eq!(handles[0].ask(|value| *value), 1);
    }
}
