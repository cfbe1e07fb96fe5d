//! What is kept of the maps of those that look on: sums over channels, or every channel, over windows and late steps.

use std::time::Duration;

use ndarray::{Array2, Array3, Array4, ArrayView4, Axis, Zip};

use crate::noise::nearest_f32;
use crate::plan::LateWindow;
use crate::store::records::{Array3Map, MethodScores, Span};
use crate::uncertainty::{Estimator, GroupEstimate, StepContext, Window};
use crate::units::Nfe;

/// Sees every place on the trajectories with what each estimator said there, in their order.
pub trait Keep {
    /// Adds one step.
    fn see(&mut self, context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]);

    /// Scores and maps of the batch.
    fn close(&mut self) -> Vec<MethodScores>;
}

/// Sums over window steps and channels, one book an estimator.
#[derive(Clone, Debug)]
pub struct SummedMaps(Vec<Book>);

/// Running sums of one estimator.
#[derive(Clone, Debug)]
struct Book {
    name: String,
    window: Window,
    /// Sum of each step's map, `[b, n_window_steps]`.
    steps: Array2<f64>,
    /// The map summed over window steps and channels, `[b, h, w]`.
    map: Array3<f32>,
    nfe: Nfe,
    time: Duration,
}

impl SummedMaps {
    /// Empty books for trajectories from `x [b, c, h, w]`.
    pub fn new(estimators: &[Box<dyn Estimator>], x: ArrayView4<'_, f32>) -> Self {
        let (b, _, h, w) = x.dim();
        let book = |estimator: &dyn Estimator| Book {
            name: estimator.name().to_owned(),
            window: estimator.window(),
            steps: Array2::zeros((b, estimator.window().len as usize)),
            map: Array3::zeros((b, h, w)),
            nfe: Nfe::default(),
            time: Duration::ZERO,
        };
        Self(estimators.iter().map(|one| book(one.as_ref())).collect())
    }
}

impl Keep for SummedMaps {
    /// Sums run in the order steps, channels, rows, columns.
    fn see(&mut self, context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]) {
        for (book, estimate) in self.0.iter_mut().zip(estimates) {
            let Some(GroupEstimate { map, nfe, network_time }) = estimate else { continue };
            let column = (context.point.index.0 - book.window.start) as usize;
            for (row, u) in map.axis_iter(Axis(0)).enumerate() {
                book.steps[[row, column]] = u.iter().map(|u| f64::from(*u)).sum();
            }
            for channel in map.axis_iter(Axis(1)) {
                Zip::from(&mut book.map).and(channel).for_each(|sum, u| *sum += u);
            }
            book.nfe.estimator += nfe.estimator;
            book.nfe.gradient += nfe.gradient;
            book.time += *network_time;
        }
    }

    fn close(&mut self) -> Vec<MethodScores> {
        let scores = |book: Book| MethodScores {
            score: book.steps.axis_iter(Axis(0)).map(|row| row.iter().sum()).collect(),
            map: Some(one_channel(&book.map)),
            method: book.name,
            span: Span::Window,
            nfe: book.nfe,
            network_seconds: book.time.as_secs_f64(),
        };
        std::mem::take(&mut self.0).into_iter().map(scores).collect()
    }
}

/// One map `[1, h, w]` an image.
fn one_channel(maps: &Array3<f32>) -> Vec<Array3Map> {
    maps.axis_iter(Axis(0)).map(|map| map.to_owned().insert_axis(Axis(0))).collect()
}

/// Sums over executed and over late steps, channel by channel.
#[derive(Clone, Debug)]
pub struct ChannelMaps {
    sums: Vec<Sum>,
    late: LateWindow,
}

/// Sums of one estimator's maps: over all steps of its window, and over the late ones.
#[derive(Clone, Debug)]
struct Sum {
    name: String,
    spans: [Spanned; 2],
}

#[derive(Clone, Debug, Default)]
struct Spanned {
    total: Option<Array4<f64>>,
    nfe: Nfe,
    time: Duration,
}

impl ChannelMaps {
    /// Empty sums of the estimators of these names.
    pub fn new(names: Vec<String>, late: LateWindow) -> Self {
        let sum = |name| Sum { name, spans: Default::default() };
        Self { sums: names.into_iter().map(sum).collect(), late }
    }
}

impl Keep for ChannelMaps {
    fn see(&mut self, context: &StepContext<'_>, estimates: &[Option<GroupEstimate>]) {
        let is_late = self.late.contains(context.point.t);
        for (sum, estimate) in self.sums.iter_mut().zip(estimates) {
            let Some(estimate) = estimate else { continue };
            for (span, inside) in sum.spans.iter_mut().zip([true, is_late]) {
                if inside {
                    let dim = estimate.map.raw_dim();
                    let total = span.total.get_or_insert_with(|| Array4::zeros(dim));
                    total.zip_mut_with(&estimate.map, |sum, u| *sum += f64::from(*u));
                    span.nfe.estimator += estimate.nfe.estimator;
                    span.time += estimate.network_time;
                }
            }
        }
    }

    fn close(&mut self) -> Vec<MethodScores> {
        let mut methods = Vec::new();
        for Sum { name, spans } in std::mem::take(&mut self.sums) {
            for (spanned, span) in spans.into_iter().zip([Span::Window, Span::Late]) {
                let Spanned { total: Some(total), nfe, time } = spanned else { continue };
                methods.push(of_channels((name.clone(), span), &total, (nfe, time)));
            }
        }
        methods
    }
}

/// Scores and maps `[c, h, w]` of `maps [b, c, h, w]`.
fn of_channels(
    (method, span): (String, Span),
    maps: &Array4<f64>,
    (nfe, time): (Nfe, Duration),
) -> MethodScores {
    MethodScores {
        method,
        span,
        score: maps.axis_iter(Axis(0)).map(|map| map.iter().sum()).collect(),
        map: Some(maps.axis_iter(Axis(0)).map(|map| map.mapv(nearest_f32)).collect()),
        nfe,
        network_seconds: time.as_secs_f64(),
    }
}

/// A map of the first clean estimate and the final state.
type EndsMap = fn(ArrayView4<'_, f32>, ArrayView4<'_, f32>) -> Array4<f64>;

/// Controls over the two ends of the walk: its first clean estimate, and its final state.
#[derive(Debug, Default)]
pub(super) struct Ends {
    maps: Vec<(String, EndsMap)>,
    first: Option<Array4<f32>>,
}

impl Ends {
    pub(super) fn watch(&mut self, name: &str, map: EndsMap) {
        self.maps.push((name.to_owned(), map));
    }

    pub(super) fn see(&mut self, context: &StepContext<'_>) {
        if !self.maps.is_empty() {
            self.first.get_or_insert_with(|| context.x0_hat.to_owned());
        }
    }

    pub(super) fn close(self, x0: ArrayView4<'_, f32>) -> Vec<MethodScores> {
        let Some(first) = self.first else { return Vec::new() };
        let scores = |(name, map): (String, EndsMap)| {
            let free = (Nfe::default(), Duration::ZERO);
            of_channels((name, Span::Window), &map(first.view(), x0), free)
        };
        self.maps.into_iter().map(scores).collect()
    }
}

impl MethodScores {
    /// Scores of images `[b, 3, H, W]` that ask nothing but the image.
    pub(super) fn of_images(
        method: String,
        score: fn(ndarray::ArrayView3<'_, u8>) -> f64,
        images: &Array4<u8>,
    ) -> Self {
        Self {
            method,
            span: Span::Window,
            score: images.axis_iter(Axis(0)).map(score).collect(),
            map: None,
            nfe: Nfe::default(),
            network_seconds: 0.0,
        }
    }
}
