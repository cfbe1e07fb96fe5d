//! Wall times of all arms to rows.

use super::stats::Spread;
use super::{TARGET, WITH, WITHOUT};
use crate::protocol::{ArmTimes, BlockTime, Evidence, Numbers, ProtocolError, RunFacts};
use crate::store::records::MetricRow;

/// The rows of every arm, the one without estimation first.
pub(super) fn evaluate(evidence: &mut dyn Evidence) -> Result<Numbers, ProtocolError> {
    let n_arms = evidence.work().arms.len();
    let times = (0..n_arms).map(|arm| evidence.times(arm)).collect::<Result<Vec<_>, _>>()?;
    let without = times.first().ok_or(ProtocolError::Absent { what: "arm" })?;
    let mut rows = Vec::new();
    for (at, own) in times.iter().enumerate() {
        let published = evidence.published();
        let paper = |name: &str| published.and_then(|row| row.value("seconds", name));
        // The published numbers stand beside the first estimator: the one of the table's M.
        let paper = match at {
            0 => [paper(WITHOUT), None],
            1 => {
                [paper(WITH), paper(WITH).zip(paper(WITHOUT)).map(|(with, without)| with / without)]
            }
            _ => [None, None],
        };
        let arm = Arm { facts: facts(evidence, at), own, without, paper };
        let name = evidence.work().arms.get(at).map_or(String::new(), |arm| arm.name.clone());
        rows.extend(arm.rows(&name));
        if let (Some(reason), true) = (evidence.not_applicable().get(&name), at > 0) {
            rows.push(arm.facts.not_applicable(&name, "time_over_predicted", reason).on("none"));
        }
    }
    Ok(Numbers { rows, ..Numbers::default() })
}

/// Facts of an arm. Times are of no data set: rows carry that of the published row that they stand beside.
fn facts(evidence: &dyn Evidence, at: usize) -> RunFacts {
    let mut facts = RunFacts::of(evidence, at);
    if let Some(row) = evidence.published() {
        facts.setting[1].clone_from(&row.dataset);
    }
    facts
}

struct Arm<'a> {
    facts: RunFacts,
    own: &'a ArmTimes,
    without: &'a ArmTimes,
    /// Published seconds and ratio.
    paper: [Option<f64>; 2],
}

/// Time of a repeat without turning states into images, which costs the same with and without estimation.
fn sampling(block: &BlockTime) -> f64 {
    block.seconds - block.decode_seconds
}

impl Arm<'_> {
    fn rows(&self, method: &str) -> Vec<MetricRow> {
        let blocks = &self.own.blocks;
        let over = |of: fn(&BlockTime) -> f64| -> Vec<f64> { blocks.iter().map(of).collect() };
        let seconds = over(sampling);
        let mut rows = vec![self.seconds(method, &seconds)];
        rows.extend(self.spread(method, &seconds));
        for (metric, values) in [
            ("decode_seconds", over(|block| block.decode_seconds)),
            ("network_seconds", over(|block| block.network_seconds)),
        ] {
            rows.push(self.row(method, metric, Spread::of(&values)));
        }
        rows.push(self.company(method));
        if self.own != self.without {
            rows.extend(self.ratios(method, &seconds));
        }
        for (at, value) in seconds.iter().enumerate() {
            let row = self.facts.row(method, "repeat_seconds", Some(*value));
            rows.push(row.of(&format!("{}", at + 1)).over(blocks[at].n));
        }
        rows
    }

    fn row(&self, method: &str, metric: &str, spread: Spread) -> MetricRow {
        let n = self.own.blocks.first().map_or(0, |block| block.n);
        let row = self.facts.row(method, metric, Some(spread.mean)).over(n);
        let (low, high) = spread.interval.unzip();
        MetricRow { se: spread.se, ci_low: low, ci_high: high, ..row }
    }

    fn seconds(&self, method: &str, seconds: &[f64]) -> MetricRow {
        let mut row = self.row(method, "seconds", Spread::of(seconds));
        row.paper_value = self.paper[0];
        if let Some(block) = self.own.blocks.first() {
            row.nfe_trajectory = Some(block.nfe_trajectory);
            row.nfe_estimator = Some(block.nfe_estimator);
        }
        row
    }

    fn spread(&self, method: &str, seconds: &[f64]) -> [MetricRow; 2] {
        let Spread { median, mad, .. } = Spread::of(seconds);
        [("median_seconds", median), ("mad_seconds", mad)]
            .map(|(metric, value)| self.facts.row(method, metric, Some(value)).over(seconds.len()))
    }

    /// Cores that others kept busy, in the worst of the repeats.
    fn company(&self, method: &str) -> MetricRow {
        let cores: Option<Vec<f64>> =
            self.own.blocks.iter().map(|block| block.other_cores).collect();
        let most = cores.map(|cores| cores.into_iter().fold(0.0, f64::max));
        let mut row = self.facts.row(method, "other_cores", most);
        row.reason = most.is_none().then(|| "nobody watched other processes".to_owned());
        row
    }

    /// Repeats are paired: those of one number have the same samples and stood next to each other.
    fn ratios(&self, method: &str, seconds: &[f64]) -> Vec<MetricRow> {
        let pairs = self.own.blocks.iter().zip(&self.without.blocks);
        let ratios: Vec<f64> = seconds
            .iter()
            .zip(&self.without.blocks)
            .map(|(own, base)| own / sampling(base))
            .collect();
        let predicted = self.own.blocks.first().map(|block| {
            let own = block.nfe_trajectory + block.nfe_estimator;
            own as f64 / block.nfe_trajectory.max(1) as f64
        });
        let predicted = predicted.unwrap_or(1.0);
        let over: Vec<f64> = ratios.iter().map(|ratio| ratio / predicted).collect();
        let mut ratio = self.row(method, "time_ratio", Spread::of(&ratios)).of(WITHOUT);
        ratio.paper_value = self.paper[1];
        let mut over = self.row(method, "time_over_predicted", Spread::of(&over)).of(WITHOUT);
        over.verdict = verdict(&over).map(str::to_owned);
        let equal = pairs.filter(|(own, base)| own.images_sha256 == base.images_sha256).count();
        let share = equal as f64 / seconds.len().max(1) as f64;
        vec![
            ratio,
            self.facts.row(method, "predicted_ratio", Some(predicted)).of(WITHOUT),
            over,
            self.facts.row(method, "images_equal", Some(share)).of(WITHOUT).over(seconds.len()),
        ]
    }
}

/// Whether the measured ratio stays within the target, by its 95 % interval.
fn verdict(over: &MetricRow) -> Option<&'static str> {
    let (low, high) = (over.ci_low?, over.ci_high?);
    Some(match () {
        () if high <= TARGET => "holds",
        () if low > TARGET => "does not",
        () => "within noise",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(seconds: &[f64], nfe_estimator: u64) -> ArmTimes {
        let block = |seconds: &f64| BlockTime {
            n: 8,
            seconds: seconds + 0.5,
            decode_seconds: 0.5,
            network_seconds: 0.9 * seconds,
            other_cores: Some(0.01),
            nfe_trajectory: 50,
            nfe_estimator,
            images_sha256: "same".to_owned(),
        };
        ArmTimes { blocks: seconds.iter().map(block).collect(), ..ArmTimes::default() }
    }

    fn rows(without: &[f64], with: &[f64]) -> Vec<MetricRow> {
        let (without, own) = (times(without, 0), times(with, 20));
        let facts = RunFacts::default();
        Arm { facts, own: &own, without: &without, paper: [None, None] }.rows("sample_var")
    }

    fn value(rows: &[MetricRow], metric: &str) -> f64 {
        rows.iter().find(|row| row.metric == metric).and_then(|row| row.value).unwrap()
    }

    #[test]
    fn ratios_are_of_pairs_and_decoding_is_no_part_of_them() {
        // Each repeat is 1.4 times as long, whatever the machine did in between.
        let found = rows(&[10.0, 20.0, 40.0], &[14.0, 28.0, 56.0]);
        assert!((value(&found, "time_ratio") - 1.4).abs() < 1e-12);
        assert!((value(&found, "predicted_ratio") - 1.4).abs() < 1e-12);
        assert!((value(&found, "time_over_predicted") - 1.0).abs() < 1e-12);
        assert!((value(&found, "decode_seconds") - 0.5).abs() < 1e-12);
        assert_eq!(value(&found, "images_equal"), 1.0);
    }

    #[test]
    fn verdicts_go_by_the_interval() {
        let told = |with: &[f64]| {
            let found = rows(&[10.0, 10.0, 10.0], with);
            let over = found.iter().find(|row| row.metric == "time_over_predicted").unwrap();
            over.verdict.clone().unwrap()
        };
        assert_eq!(told(&[14.0, 14.01, 14.02]), "holds");
        assert_eq!(told(&[16.0, 16.01, 16.02]), "does not");
        assert_eq!(told(&[13.0, 15.0, 17.0]), "within noise");
    }

    #[test]
    fn times_are_in_no_digest() {
        use crate::store::metrics::digest;
        let (one, other) = (rows(&[10.0, 11.0], &[14.0, 15.0]), rows(&[3.0, 4.0], &[9.0, 8.0]));
        assert_eq!(digest(&one), digest(&other));
        let mut counted = one.clone();
        let row = counted.iter_mut().find(|row| row.metric == "predicted_ratio").unwrap();
        row.value = Some(1.5);
        assert_ne!(digest(&one), digest(&counted));
    }
}
