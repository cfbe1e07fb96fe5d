//! The regression gate: `dubench check BASELINE RESULT`. A number may leave its band neither way.

use super::cells;
use super::error::ReportError;
use super::key::{key, refuse_duplicates, shown as key_text};
use crate::store::records::MetricRow;

/// How far a number may lie from the baseline, either way. The widest of the three holds.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// In units of the metric.
    pub absolute: f64,
    /// As a fraction of the baseline.
    pub relative: f64,
    /// In standard errors of the baseline, where it has one.
    pub standard_errors: f64,
}

impl Default for Band {
    /// One millionth of the value: what another machine's rounding may do to the same plan.
    fn default() -> Self {
        Self { absolute: 1e-9, relative: 1e-6, standard_errors: 0.0 }
    }
}

impl Band {
    /// Half width around a baseline row; `None` where the row has no finite value.
    pub fn half_width(&self, baseline: &MetricRow) -> Option<f64> {
        let value = baseline.value.filter(|value| value.is_finite())?;
        let by_error =
            baseline.se.filter(|se| se.is_finite()).map_or(0.0, |se| self.standard_errors * se);
        Some(self.absolute.max(self.relative * value.abs()).max(by_error))
    }

    fn validate(&self, place: &str) -> Result<(), ReportError> {
        for (name, width) in [
            ("absolute", self.absolute),
            ("relative", self.relative),
            ("standard_errors", self.standard_errors),
        ] {
            if !width.is_finite() || width < 0.0 {
                return Err(ReportError::Value {
                    place: format!("{place}.{name}"),
                    got: width.to_string(),
                    expected: "a finite number, 0 or more".to_owned(),
                    remedy: "correct the band".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Bands by metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bands {
    /// Metric name, then its band; the first match holds.
    pub by_metric: Vec<(String, Band)>,
    /// Band of every other metric.
    pub otherwise: Band,
}

impl Bands {
    fn of(&self, metric: &str) -> &Band {
        let own = self.by_metric.iter().find(|(name, _)| name == metric);
        own.map_or(&self.otherwise, |(_, band)| band)
    }

    fn validate(&self) -> Result<(), ReportError> {
        self.otherwise.validate("bands")?;
        self.by_metric.iter().try_for_each(|(name, band)| band.validate(&format!("bands.{name}")))
    }
}

/// Why a row fails the gate.
#[derive(Clone, Debug, PartialEq)]
pub enum Breach {
    /// The value left the band.
    Outside {
        /// Baseline.
        baseline: f64,
        /// Value now.
        now: f64,
        /// Half width of the band.
        half_width: f64,
    },
    /// The baseline has this row and the result does not.
    Missing,
    /// The baseline has a number and the result has none.
    Lost {
        /// Why the result has none.
        reason: String,
    },
    /// The result has a number and the baseline has none.
    Gained {
        /// Why the baseline has none.
        reason: String,
    },
    /// Counts or definition differ, so that the numbers are not the same quantity.
    Redefined {
        /// What differs.
        what: String,
    },
}

/// A row that fails the gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// Key of the row, without empty parts.
    pub key: String,
    /// Why.
    pub breach: Breach,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.key)?;
        match &self.breach {
            Breach::Outside { baseline, now, half_width } => {
                let way = if now > baseline { "above" } else { "below" };
                write!(f, "{now} lies {way} the band {baseline} ± {half_width}")
            }
            Breach::Missing => write!(f, "the result lacks this row"),
            Breach::Lost { reason } => write!(f, "the result has no number: {reason}"),
            Breach::Gained { reason } => write!(f, "the baseline has no number: {reason}"),
            Breach::Redefined { what } => write!(f, "another quantity than the baseline: {what}"),
        }
    }
}

/// All rows of the baseline that the result does not hold; empty when the gate is passed.
///
/// Rows that only the result has are no breach. Times are never compared.
///
/// # Errors
/// [`ReportError::Value`] for a band that is negative or not finite, [`ReportError::Duplicate`].
pub fn check(
    baseline: &[MetricRow],
    result: &[MetricRow],
    bands: &Bands,
) -> Result<Vec<Failed>, ReportError> {
    bands.validate()?;
    refuse_duplicates(baseline)?;
    refuse_duplicates(result)?;
    let mut failed = Vec::new();
    for expected in baseline {
        let breach = match result.iter().find(|row| key(row) == key(expected)) {
            None => Some(Breach::Missing),
            Some(now) => breach(expected, now, bands.of(&expected.metric)),
        };
        if let Some(breach) = breach {
            failed.push(Failed { key: key_text(expected), breach });
        }
    }
    Ok(failed)
}

fn breach(baseline: &MetricRow, now: &MetricRow, band: &Band) -> Option<Breach> {
    if baseline.metric_version != now.metric_version {
        let (x, y) = (baseline.metric_version, now.metric_version);
        return Some(Breach::Redefined { what: format!("metric version {x} became {y}") });
    }
    for (name, x, y) in
        [("n", baseline.n, now.n), ("n_reference", baseline.n_reference, now.n_reference)]
    {
        if x != y {
            return Some(Breach::Redefined {
                what: format!("{name} {} became {}", shown(x), shown(y)),
            });
        }
    }
    if baseline.is_time() {
        return None;
    }
    let finite = |row: &MetricRow| row.value.filter(|value| value.is_finite());
    match (finite(baseline), finite(now)) {
        (None, None) => None,
        (Some(value), Some(new)) => {
            let half_width = band.half_width(baseline)?;
            ((new - value).abs() > half_width).then_some(Breach::Outside {
                baseline: value,
                now: new,
                half_width,
            })
        }
        (Some(_), None) => Some(Breach::Lost { reason: cells::why(now).to_owned() }),
        (None, Some(_)) => Some(Breach::Gained { reason: cells::why(baseline).to_owned() }),
    }
}

fn shown(n: Option<u64>) -> String {
    n.map_or("none".to_owned(), |n| n.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::filtering::example;

    fn three_errors() -> Bands {
        let band = Band { absolute: 0.0, relative: 0.0, standard_errors: 3.0 };
        Bands { by_metric: vec![("fid".to_owned(), band)], otherwise: Band::default() }
    }

    #[test]
    fn the_band_has_two_sides() {
        let baseline = example::rows();
        let se = baseline[2].se.unwrap();
        for (step, breaches) in [(2.9, 0), (3.1, 1), (-2.9, 0), (-3.1, 1)] {
            let mut now = baseline.clone();
            now[2].value = baseline[2].value.map(|value| value + step * se);
            assert_eq!(check(&baseline, &now, &three_errors()).unwrap().len(), breaches, "{step}");
        }
    }

    #[test]
    fn lost_rows_lost_numbers_and_other_counts_are_breaches() {
        let baseline = example::rows();
        let mut now = baseline.clone();
        now[2].value = None;
        now[2].reason = Some("dropout was switched off".to_owned());
        now[3].n = Some(7);
        now.remove(1);
        let failed = check(&baseline, &now, &three_errors()).unwrap();
        assert_eq!(failed.len(), 3);
        assert_eq!(failed[0].breach, Breach::Missing);
        insta::assert_snapshot!(failed[1], @"table1 / mini / ddpm-cifar10-small / cifar10 / pool / ddim-50 / full / fid: the result has no number: dropout was switched off");
        assert!(matches!(failed[2].breach, Breach::Redefined { .. }));
    }

    #[test]
    fn new_rows_and_other_times_pass() {
        let baseline = example::rows();
        let mut now = baseline.clone();
        now[0].seconds = Some(9999.0);
        let mut extra = now[0].clone();
        extra.method = "new_estimator".to_owned();
        now.push(extra);
        assert_eq!(check(&baseline, &now, &Bands::default()).unwrap(), Vec::new());
    }

    #[test]
    fn a_band_that_is_no_number_is_refused() {
        let band = Band { absolute: f64::NAN, relative: 0.0, standard_errors: 0.0 };
        let bands = Bands { by_metric: vec![("fid".to_owned(), band)], otherwise: Band::default() };
        let error = check(&[], &[], &bands).unwrap_err();
        insta::assert_snapshot!(error, @"bands.fid.absolute: got NaN, expected a finite number, 0 or more: correct the band");
    }
}
