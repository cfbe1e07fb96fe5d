//! The rows, curves and per-image columns that a reconstruction writes.

use dubench_metrics::MetricError;
use dubench_metrics::sparsification::{
    Pool, Preset, Sparsification, SparsificationOptions, sparsification,
};
use ndarray::{Array2, Axis};

use super::audit::{Rung, evaluate};
use super::maps::{ImageScores, Images, Polarity, by_image, turned};
use super::{CHANCE, LOCAL_VARIANCE, ORACLE, RECONSTRUCTION};
use crate::protocol::rows::mean_and_se;
use crate::protocol::{MethodMaps, RunFacts};
use crate::store::records::{CurveRow, MetricRow, Span};
use crate::units::Nfe;

/// An arm, ready to be judged.
#[derive(Clone, Debug)]
pub(super) struct ArmImages<'a> {
    /// Name of the arm.
    pub(super) arm: &'a str,
    /// Truth and reconstructions.
    pub(super) images: Images<'a>,
    /// Maps, in the order of the plan.
    pub(super) methods: &'a [MethodMaps],
    /// Evaluations per image that moved the trajectory.
    pub(super) nfe_trajectory: u64,
    /// Seed of chance.
    pub(super) seed: u64,
    /// Points of a curve less one.
    pub(super) intervals: usize,
}

/// What an arm gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ArmNumbers {
    /// Rows of `metrics.parquet`.
    pub(super) rows: Vec<MetricRow>,
    /// Rows of `curves.parquet`.
    pub(super) curves: Vec<CurveRow>,
    /// RMSE and AURG of every image.
    pub(super) columns: Vec<(String, Vec<f64>)>,
}

/// One ranking of an arm with its per-image scores.
struct Judged {
    name: String,
    polarity: Polarity,
    is_estimator: bool,
    scores: ImageScores,
}

struct Judge<'a, 'b> {
    facts: &'a RunFacts,
    arm: &'a ArmImages<'b>,
    error: Array2<f32>,
    paper: &'a dyn Fn(&str, &str) -> Option<f64>,
    judged: Vec<Judged>,
    numbers: ArmNumbers,
}

/// All numbers of an arm: reconstruction error, each method in both polarities over all executed and over the late
/// steps, controls, and paired differences. `paper` gives the published number of a metric and kind.
///
/// # Errors
/// [`MetricError`] for maps of another shape or values that are not finite.
pub(super) fn numbers(
    facts: &RunFacts,
    arm: &ArmImages<'_>,
    paper: &dyn Fn(&str, &str) -> Option<f64>,
) -> Result<ArmNumbers, MetricError> {
    let (error, numbers) = (arm.images.error(), ArmNumbers::default());
    let mut judge = Judge { facts, arm, error, paper, judged: Vec::new(), numbers };
    for method in arm.methods {
        judge.method(method)?;
    }
    let controls = [
        (LOCAL_VARIANCE, arm.images.local_variance()),
        (CHANCE, arm.images.chance(arm.seed)),
        (ORACLE, judge.error.mapv(f32::abs)),
    ];
    for (name, maps) in controls {
        let (name, span, nfe) = (name.to_owned(), Span::Window, Nfe::default());
        let shape = arm.images.shape;
        judge.method(&MethodMaps { name, span, maps, shape, nfe, seconds: 0.0 })?;
    }
    judge.reconstruction();
    judge.gains();
    Ok(judge.numbers)
}

impl Judge<'_, '_> {
    fn method(&mut self, method: &MethodMaps) -> Result<(), MetricError> {
        let name = method.name.as_str();
        let both = [Polarity::AsIs, Polarity::Inverted];
        // The oracle and chance have no other side.
        let polarities = if matches!(name, ORACLE | CHANCE) { &both[..1] } else { &both };
        for polarity in polarities.iter().copied() {
            let scores = by_image(&self.error, &method.maps, (polarity, self.arm.intervals))?;
            self.areas(method, polarity, &scores);
            if method.span == Span::Window {
                self.other_readings(name, &method.maps, polarity)?;
                self.curve(name, polarity, &scores);
                let is_estimator = method.nfe.estimator > 0;
                self.judged.push(Judged { name: name.to_owned(), polarity, is_estimator, scores });
            }
        }
        Ok(())
    }

    fn areas(&mut self, method: &MethodMaps, polarity: Polarity, scores: &ImageScores) {
        let seconds = (method.nfe.estimator > 0).then_some(method.seconds);
        for (metric, values) in [("ause", &scores.ause), ("aurg", &scores.aurg)] {
            let row = self.mean(&method.name, metric, values).on(polarity.as_str());
            let mut row = row.costing(self.arm.nfe_trajectory, Some(method.nfe), seconds);
            row.nfe_gradient = None;
            if metric == "aurg" && method.name != ORACLE {
                row.verdict = verdict(&row).map(str::to_owned);
            }
            match method.span {
                Span::Window if polarity == Polarity::AsIs => {
                    row.paper_value = (self.paper)(metric, &row.kind);
                }
                Span::Window | Span::Step(_) | Span::Negative => {}
                Span::Late => row = row.of("late"),
            }
            self.numbers.rows.push(row);
        }
    }

    /// All elements of all images in one ranking; and pixels in the place of channels.
    fn other_readings(
        &mut self,
        name: &str,
        maps: &Array2<f32>,
        polarity: Polarity,
    ) -> Result<(), MetricError> {
        let intervals = self.arm.intervals;
        let options = SparsificationOptions { pool: Pool::All, preset: Preset::Exact, intervals };
        let pooled = sparsification(&self.error, &turned(maps, polarity), &options)?;
        self.pooled(name, polarity.as_str(), &pooled);
        let (error, sums) =
            (self.arm.images.pixel_error(&self.error)?, self.arm.images.pixel_sum(maps)?);
        let scores = by_image(&error, &sums, (polarity, intervals))?;
        for (metric, values) in [("ause", &scores.ause), ("aurg", &scores.aurg)] {
            let row = self.mean(name, metric, values).of("pixel").on(polarity.as_str());
            self.numbers.rows.push(row);
        }
        Ok(())
    }

    fn pooled(&mut self, name: &str, side: &str, got: &Sparsification) {
        let n = self.arm.images.truth.nrows();
        for (metric, value, se) in
            [("ause", got.ause, got.ause_se), ("aurg", got.aurg, got.aurg_se)]
        {
            let row = self.facts.row(name, metric, Some(value)).with_se(se).over(n);
            self.numbers.rows.push(row.of("pooled").on(side));
        }
    }

    fn curve(&mut self, name: &str, polarity: Polarity, scores: &ImageScores) {
        let n = scores.rmse.len() as u64;
        let last = self.arm.intervals as f64;
        for (k, column) in scores.curve.axis_iter(Axis(1)).enumerate() {
            let (value, se) = mean_and_se(&column.to_vec());
            self.numbers.curves.push(CurveRow {
                arm: self.arm.arm.to_owned(),
                method: name.to_owned(),
                side: polarity.as_str().to_owned(),
                metric: "rmse".to_owned(),
                x: k as f64 / last,
                value,
                se,
                n,
            });
        }
    }

    /// How far the reconstructions are from the truth, whatever the uncertainty.
    fn reconstruction(&mut self) {
        let Some(first) = self.judged.first() else { return };
        let rmse = first.scores.rmse.clone();
        let row = self.mean(RECONSTRUCTION, "rmse", &rmse);
        let row = row.costing(self.arm.nfe_trajectory, None, None);
        let squares: Vec<f64> = rmse.iter().map(|rmse| rmse * rmse).collect();
        let (mean, se) = mean_and_se(&squares);
        // Delta method: the root of a mean has the error of the mean over twice the root.
        let se = se.map(|se| se / (2.0 * mean.sqrt().max(1e-300)));
        let pooled = self.facts.row(RECONSTRUCTION, "rmse", Some(mean.sqrt()));
        let pooled = pooled.with_se(se).over(rmse.len()).of("pooled");
        self.numbers.rows.splice(0..0, [row, pooled]);
        self.numbers.columns.push(("rmse".to_owned(), rmse));
        for judged in &self.judged {
            let name = format!("aurg:{}:{}", judged.name, judged.polarity.as_str());
            self.numbers.columns.push((name, judged.scores.aurg.clone()));
        }
    }

    /// Paired differences of AURG: each estimator against every method that it has not met and against the controls.
    fn gains(&mut self) {
        let mut rows = Vec::new();
        for (at, one) in self.judged.iter().enumerate().filter(|(_, judged)| judged.is_estimator) {
            for other in &self.judged[at + 1..] {
                let controls = !matches!(other.name.as_str(), ORACLE | CHANCE);
                if other.polarity != Polarity::AsIs || other.name == one.name || !controls {
                    continue;
                }
                let pairs = one.scores.aurg.iter().zip(&other.scores.aurg);
                let gain: Vec<f64> = pairs.map(|(one, other)| one - other).collect();
                let row = self.mean(&one.name, "aurg_gain", &gain);
                let mut row = row.of(&other.name).on(one.polarity.as_str());
                row.verdict = verdict(&row).map(str::to_owned);
                rows.push(row);
            }
        }
        self.numbers.rows.extend(rows);
    }

    fn mean(&self, method: &str, metric: &str, values: &[f64]) -> MetricRow {
        let (mean, se) = mean_and_se(values);
        self.facts.row(method, metric, Some(mean)).with_se(se).over(values.len())
    }
}

/// Rows of the released evaluation taken apart, one rung a side, for each map and for chance.
///
/// # Errors
/// [`MetricError`] for maps of another shape.
pub(super) fn audit(facts: &RunFacts, arm: &ArmImages<'_>) -> Result<Vec<MetricRow>, MetricError> {
    let chance = arm.images.chance(arm.seed).mapv(f32::abs);
    let whole =
        arm.methods.iter().filter(|method| method.span == Span::Window && method.nfe.estimator > 0);
    let maps = whole.map(|method| (method.name.as_str(), &method.maps)).chain([(CHANCE, &chance)]);
    let n = arm.images.truth.nrows();
    let mut rows = Vec::new();
    for (name, maps) in maps {
        for rung in Rung::ALL {
            let got = evaluate(&arm.images, maps, (rung, arm.intervals))?;
            let values = [
                ("ause", got.ause, got.ause_se),
                ("aurg", got.aurg, got.aurg_se),
                ("rmse", got.rmse, None),
            ];
            rows.extend(values.map(|(metric, value, se)| {
                let row = facts.row(name, metric, Some(value)).with_se(se).over(n);
                row.of("audit").on(rung.as_str())
            }));
        }
    }
    Ok(rows)
}

/// `better` or `worse` than zero by the 95 % interval, else `n.s.`; nothing without an interval.
fn verdict(row: &MetricRow) -> Option<&'static str> {
    let (low, high) = (row.ci_low?, row.ci_high?);
    Some(match () {
        () if low > 0.0 => "better",
        () if high < 0.0 => "worse",
        () => "n.s.",
    })
}
