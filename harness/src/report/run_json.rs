//! `run.json`: how a result came to be, for people and for `dubench verify`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::ReportError;
use crate::canonical::sha256_hex;

/// Version of the form of `run.json`.
pub const FORMAT: u32 = 1;

/// Everything that a number depends on but its plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Experiment name.
    pub experiment: String,
    /// Published artefact.
    pub artefact: String,
    /// `smoke`, `mini` or `paper`.
    pub scale: String,
    /// Hash of the plan.
    pub plan_id: String,
    /// Revision of the source, with `-dirty` where it was changed.
    pub git_revision: String,
    /// `dubench`, `onnxruntime`, `rustc`, ... and their versions.
    pub versions: BTreeMap<String, String>,
    /// Where the networks ran: `cpu`, `cuda:0`.
    pub device: String,
    /// Processor, cores, memory: what a reader needs to read the times.
    pub machine: BTreeMap<String, String>,
    /// Seconds by stage. A key says whether they are sums (over blocks that networks or shards may have worked on at the same
    /// time, so that they can exceed the time that passed) or wall time.
    pub seconds: BTreeMap<String, f64>,
    /// SHA-256 of every input file by name.
    pub inputs: BTreeMap<String, String>,
    /// Whatever else the stages report.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

const SEAL: &str = "record_sha256";
const ARTEFACTS: &str = "artefacts";

impl RunRecord {
    /// The record with the hash of every file that stands beside it, and with its own.
    #[must_use]
    pub fn sealed(mut self, artefacts: &BTreeMap<String, String>) -> Self {
        let hashes = artefacts.iter().map(|(name, sha256)| (name.clone(), sha256.clone().into()));
        self.details.insert(ARTEFACTS.to_owned(), Value::Object(hashes.collect()));
        let seal = self.own_hash();
        self.details.insert(SEAL.to_owned(), seal.into());
        self
    }

    /// Name and hash of every file beside the record; `None` where the record is not what was written, or was
    /// written by an early version.
    pub fn artefacts(&self) -> Option<BTreeMap<String, String>> {
        let seal = self.details.get(SEAL)?.as_str()?;
        if seal != self.own_hash() {
            return None;
        }
        let hashes = self.details.get(ARTEFACTS)?.as_object()?;
        hashes.iter().map(|(name, hash)| Some((name.clone(), hash.as_str()?.to_owned()))).collect()
    }

    /// Hash of everything but the hash itself.
    fn own_hash(&self) -> String {
        let mut bare = self.clone();
        bare.details.remove(SEAL);
        sha256_hex(serde_json::to_string(&bare).unwrap_or_default().as_bytes())
    }

    /// Pretty JSON with a newline at its end; keys in fixed order, so that two runs differ where they differ.
    ///
    /// # Errors
    /// [`ReportError::Value`] for a time that is negative or not finite: JSON has no NaN.
    pub fn to_json(&self) -> Result<String, ReportError> {
        for (stage, seconds) in &self.seconds {
            if !seconds.is_finite() || *seconds < 0.0 {
                return Err(ReportError::Value {
                    place: format!("run.json: seconds.{stage}"),
                    got: seconds.to_string(),
                    expected: "a finite number, 0 or more".to_owned(),
                    remedy: "leave the stage out where it was not timed".to_owned(),
                });
            }
        }
        let text = serde_json::to_string_pretty(self).map_err(|error| malformed(&error))?;
        Ok(text + "\n")
    }

    /// Reads what [`RunRecord::to_json`] wrote.
    ///
    /// # Errors
    /// [`ReportError::Value`] for other JSON and for another format version.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        let record: Self = serde_json::from_str(text).map_err(|error| malformed(&error))?;
        if record.format != FORMAT {
            return Err(ReportError::Value {
                place: "run.json: format".to_owned(),
                got: record.format.to_string(),
                expected: FORMAT.to_string(),
                remedy: "use the dubench that wrote it, or run the experiment again".to_owned(),
            });
        }
        Ok(record)
    }
}

fn malformed(error: &serde_json::Error) -> ReportError {
    ReportError::Value {
        place: "run.json".to_owned(),
        got: error.to_string(),
        expected: format!("a run record of format {FORMAT}"),
        remedy: "run `dubench report` again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RunRecord {
        RunRecord {
            format: FORMAT,
            experiment: "table1-cifar10".to_owned(),
            artefact: "table1".to_owned(),
            scale: "smoke".to_owned(),
            plan_id: "5d41402a".to_owned(),
            git_revision: "894ba37".to_owned(),
            versions: [("dubench".to_owned(), "0.1.0".to_owned())].into(),
            device: "cpu".to_owned(),
            machine: [("cores".to_owned(), "2".to_owned())].into(),
            seconds: [("evaluate, wall".to_owned(), 12.5)].into(),
            inputs: BTreeMap::new(),
            details: Map::new(),
        }
    }

    #[test]
    fn a_record_survives_writing_and_reading() {
        assert_eq!(RunRecord::from_json(&record().to_json().unwrap()).unwrap(), record());
    }

    #[test]
    fn a_sealed_record_knows_its_files_and_every_change_of_itself() {
        let files: BTreeMap<_, _> = [("table.md".to_owned(), "ab".repeat(32))].into();
        let sealed = record().sealed(&files);
        let text = sealed.to_json().unwrap();
        assert_eq!(RunRecord::from_json(&text).unwrap().artefacts(), Some(files));
        let other = text.replace("12.5", "12.6");
        assert_eq!(RunRecord::from_json(&other).unwrap().artefacts(), None);
        assert_eq!(record().artefacts(), None);
    }

    #[test]
    fn a_sealed_record_is_the_same_after_reading_whatever_its_times() {
        for index in 1..=500_u32 {
            let mut record = record();
            // Weyl sequence: 16 or 17 digits each.
            let seconds = (f64::from(index) * 0.618_033_988_749_895).fract() * 100.0;
            record.seconds.insert("generate".to_owned(), seconds);
            let text = record.sealed(&BTreeMap::new()).to_json().unwrap();
            let read = RunRecord::from_json(&text).unwrap();
            assert_eq!(read.artefacts(), Some(BTreeMap::new()), "{seconds}");
        }
    }

    #[test]
    fn times_that_are_no_number_are_refused() {
        let mut bad = record();
        bad.seconds.insert("features".to_owned(), f64::NAN);
        insta::assert_snapshot!(bad.to_json().unwrap_err(), @"run.json: seconds.features: got NaN, expected a finite number, 0 or more: leave the stage out where it was not timed");
    }

    #[test]
    fn another_format_is_refused() {
        let text = record().to_json().unwrap().replace("\"format\": 1", "\"format\": 2");
        assert!(matches!(RunRecord::from_json(&text), Err(ReportError::Value { .. })));
    }
}
