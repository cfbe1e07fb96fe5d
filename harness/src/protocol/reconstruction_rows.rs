//! The rows, curves and per-image columns that a reconstruction writes.

use dubench_metrics::MetricError;
use dubench_metrics::sparsification::{
    Pool, Preset, Sparsification, SparsificationOptions, sparsification,
};
use ndarray::{Array2, Axis};

use super::filtering_rows::{RunFacts, Z95};
use super::reconstruction::{
    ImageScores, Images, LOCAL_VARIANCE, ORACLE, Polarity, RANDOM, by_image, late_of, mean_and_se,
    turned,
};
use super::sparsification_audit::{Rung, evaluate};
use crate::store::records::MetricRow;
use crate::store::sparsification::SparsificationRow;
use crate::units::Nfe;

/// Maps of one method over the images of an arm.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodMaps {
    /// Name; [`super::reconstruction::late`] names those over the late steps.
    pub name: String,
    /// `[n, c h w]`.
    pub maps: Array2<f32>,
    /// Evaluations per image.
    pub nfe: Nfe,
    /// Time inside the network over all images.
    pub seconds: f64,
}

/// An arm, ready to be judged.
#[derive(Clone, Debug)]
pub struct ArmMaps<'a> {
    /// Name of the arm.
    pub arm: &'a str,
    /// Truth and reconstructions.
    pub images: Images<'a>,
    /// Maps, in the order of the plan.
    pub methods: &'a [MethodMaps],
    /// Seed of the random control.
    pub seed: u64,
    /// Points of a curve less one.
    pub intervals: usize,
}

/// What an arm gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmNumbers {
    /// Rows of `metrics.parquet`.
    pub rows: Vec<MetricRow>,
    /// Rows of `sparsification.parquet`.
    pub curves: Vec<SparsificationRow>,
    /// RMSE and AURG of every image.
    pub columns: Vec<(String, Vec<f64>)>,
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
    arm: &'a ArmMaps<'b>,
    error: Array2<f32>,
    paper: &'a dyn Fn(&str, &str) -> Option<f64>,
    judged: Vec<Judged>,
    numbers: ArmNumbers,
}

/// All numbers of an arm: reconstruction error, each method in both polarities over all executed and over the late
/// steps, controls, and paired differences. `paper` gives the published number of a metric and method.
///
/// # Errors
/// [`MetricError`] for maps of another shape or values that are not finite.
pub fn numbers(
    facts: &RunFacts,
    arm: &ArmMaps<'_>,
    paper: &dyn Fn(&str, &str) -> Option<f64>,
) -> Result<ArmNumbers, MetricError> {
    let (error, numbers) = (arm.images.error(), ArmNumbers::default());
    let mut judge = Judge { facts, arm, error, paper, judged: Vec::new(), numbers };
    for method in arm.methods {
        judge.method(method)?;
    }
    let controls = [
        (LOCAL_VARIANCE, arm.images.local_variance()),
        (RANDOM, arm.images.random(arm.seed)),
        (ORACLE, judge.error.mapv(f32::abs)),
    ];
    for (name, maps) in controls {
        judge.method(&MethodMaps {
            name: name.to_owned(),
            maps,
            nfe: Nfe::default(),
            seconds: 0.0,
        })?;
    }
    judge.reconstruction();
    judge.gains();
    Ok(judge.numbers)
}

impl Judge<'_, '_> {
    fn method(&mut self, method: &MethodMaps) -> Result<(), MetricError> {
        let late = late_of(&method.name);
        let name = late.unwrap_or(&method.name).to_owned();
        let suffix = if late.is_some() { "_late" } else { "" };
        let both = [Polarity::AsIs, Polarity::Inverted];
        // The oracle and chance have no other side.
        let polarities = if matches!(name.as_str(), ORACLE | RANDOM) { &both[..1] } else { &both };
        for polarity in polarities.iter().copied() {
            let scores = by_image(&self.error, &method.maps, (polarity, self.arm.intervals))?;
            for (metric, values) in [("ause", &scores.ause), ("aurg", &scores.aurg)] {
                let mut row = self.mean(&name, &format!("{metric}{suffix}"), values);
                row.direction = Some(polarity.as_str().to_owned());
                row.nfe_trajectory = Some(self.facts.nfe_trajectory);
                row.nfe_estimator = Some(method.nfe.estimator);
                row.seconds = (method.nfe.estimator > 0).then_some(method.seconds);
                if metric == "aurg" && name != ORACLE {
                    row.verdict = verdict(&row).map(str::to_owned);
                }
                if late.is_none() && polarity == Polarity::AsIs {
                    row.paper_value = (self.paper)(metric, &name);
                }
                self.numbers.rows.push(row);
            }
            if late.is_none() {
                self.other_readings(&name, &method.maps, polarity)?;
                self.curve(&name, polarity, &scores);
                let is_estimator = method.nfe.estimator > 0;
                self.judged.push(Judged { name: name.clone(), polarity, is_estimator, scores });
            }
        }
        Ok(())
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
        self.area_rows(name, ("pooled", polarity.as_str()), &pooled);
        let (error, sums) =
            (self.arm.images.pixel_error(&self.error)?, self.arm.images.pixel_sum(maps)?);
        let scores = by_image(&error, &sums, (polarity, intervals))?;
        for (metric, values) in [("ause_pixel", &scores.ause), ("aurg_pixel", &scores.aurg)] {
            let mut row = self.mean(name, metric, values);
            row.direction = Some(polarity.as_str().to_owned());
            self.numbers.rows.push(row);
        }
        Ok(())
    }

    fn area_rows(&mut self, name: &str, (reading, direction): (&str, &str), got: &Sparsification) {
        let n = self.arm.images.truth.nrows() as u64;
        let values = [
            (format!("ause_{reading}"), got.ause, got.ause_se),
            (format!("aurg_{reading}"), got.aurg, got.aurg_se),
        ];
        for (metric, value, se) in values {
            let row = with_error(self.facts.row(name, &metric, Some(value)), se);
            self.numbers.rows.push(MetricRow {
                n: Some(n),
                direction: Some(direction.to_owned()),
                ..row
            });
        }
    }

    fn curve(&mut self, name: &str, polarity: Polarity, scores: &ImageScores) {
        let n = scores.rmse.len() as u64;
        let last = self.arm.intervals as f64;
        for (k, column) in scores.curve.axis_iter(Axis(1)).enumerate() {
            let (rmse, se) = mean_and_se(&column.to_vec());
            self.numbers.curves.push(SparsificationRow {
                arm: self.arm.arm.to_owned(),
                method: name.to_owned(),
                direction: polarity.as_str().to_owned(),
                fraction_removed: k as f64 / last,
                rmse,
                se,
                n,
            });
        }
    }

    /// How far the reconstructions are from the truth, whatever the uncertainty.
    fn reconstruction(&mut self) {
        let Some(first) = self.judged.first() else { return };
        let rmse = first.scores.rmse.clone();
        let mut row = self.mean("reconstruction", "rmse", &rmse);
        row.nfe_trajectory = Some(self.facts.nfe_trajectory);
        row.seconds = self.facts.trajectory_seconds;
        let squares: Vec<f64> = rmse.iter().map(|rmse| rmse * rmse).collect();
        let (mean, se) = mean_and_se(&squares);
        // Delta method: the root of a mean has the error of the mean over twice the root.
        let pooled = self.facts.row("reconstruction", "rmse_pooled", Some(mean.sqrt()));
        let mut pooled = with_error(pooled, se.map(|se| se / (2.0 * mean.sqrt().max(1e-300))));
        pooled.n = Some(rmse.len() as u64);
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
                let controls = !matches!(other.name.as_str(), ORACLE | RANDOM);
                if other.polarity != Polarity::AsIs || other.name == one.name || !controls {
                    continue;
                }
                let pairs = one.scores.aurg.iter().zip(&other.scores.aurg);
                let gain: Vec<f64> = pairs.map(|(one, other)| one - other).collect();
                let mut row = self.mean(&one.name, &format!("aurg_gain({})", other.name), &gain);
                row.direction = Some(one.polarity.as_str().to_owned());
                row.verdict = verdict(&row).map(str::to_owned);
                rows.push(row);
            }
        }
        self.numbers.rows.extend(rows);
    }

    fn mean(&self, method: &str, metric: &str, values: &[f64]) -> MetricRow {
        let (mean, se) = mean_and_se(values);
        let row = with_error(self.facts.row(method, metric, Some(mean)), se);
        MetricRow { n: Some(values.len() as u64), ..row }
    }
}

/// Rows of the released evaluation taken apart, one rung a direction, for each map and for chance.
///
/// # Errors
/// [`MetricError`] for maps of another shape.
pub fn audit(facts: &RunFacts, arm: &ArmMaps<'_>) -> Result<Vec<MetricRow>, MetricError> {
    let random = arm.images.random(arm.seed).mapv(f32::abs);
    let whole = arm
        .methods
        .iter()
        .filter(|method| late_of(&method.name).is_none() && method.nfe.estimator > 0);
    let maps = whole.map(|method| (method.name.as_str(), &method.maps)).chain([(RANDOM, &random)]);
    let mut rows = Vec::new();
    for (name, maps) in maps {
        for rung in Rung::ALL {
            let got = evaluate(&arm.images, maps, (rung, arm.intervals))?;
            let values = [
                ("audit_ause", got.ause, got.ause_se),
                ("audit_aurg", got.aurg, got.aurg_se),
                ("audit_rmse", got.rmse, None),
            ];
            for (metric, value, se) in values {
                let row = with_error(facts.row(name, metric, Some(value)), se);
                rows.push(MetricRow {
                    n: Some(arm.images.truth.nrows() as u64),
                    direction: Some(rung.as_str().to_owned()),
                    ..row
                });
            }
        }
    }
    Ok(rows)
}

fn with_error(row: MetricRow, se: Option<f64>) -> MetricRow {
    let end = |sign: f64| Some(row.value? + sign * Z95 * se?);
    MetricRow { se, ci_low: end(-1.0), ci_high: end(1.0), ..row }
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
