//! What every Parquet file says of itself, in its key-value metadata.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StoreError;

/// Version of the file formats of this folder. Another one is refused by name.
///
/// 2: parts name their arm and the true sample ids; `metrics.parquet` has columns for arm, kind, argument and side.
pub const FORMAT: u32 = 2;

/// Key of the metadata entry.
pub const KEY: &str = "dubench";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Generated images with scores and maps.
    Images,
    /// Features of images.
    Features,
    /// Rows of `metrics.parquet`.
    Metrics,
    /// Rows of `curves.parquet`.
    Curves,
    /// Scores of all images.
    Scores,
    /// Uncertainty maps of a threshold set, step by step.
    Maps,
    /// Thresholds that were taken of such a set.
    Thresholds,
    /// Fisher information of a last layer.
    Laplace,
}

/// Who made a file, with what. Recorded, never compared: it may differ between equal contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of this program.
    pub version: String,
    /// Git revision of this program, where its maker or its caller told it by [`REVISION_VARIABLE`].
    pub revision: Option<String>,
    /// Runtime library and version: `onnxruntime 1.27.0`, or `closed form`.
    pub runtime: String,
    /// Processor: `cpu`, `cuda:0`.
    pub device: String,
}

impl Provenance {
    /// This program with a runtime and a device.
    pub fn new(runtime: impl Into<String>, device: impl Into<String>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: revision(),
            runtime: runtime.into(),
            device: device.into(),
        }
    }
}

/// Environment variable with the git revision of the checkout that runs this program, as the justfile sets it.
pub const REVISION_VARIABLE: &str = "DUBENCH_GIT_REVISION";

/// What the caller says, else what the maker of a wheel said while it was built (`DUBENCH_BUILT_REVISION`).
///
/// Two names, because what is read while building compiles this package anew whenever it changes: at every commit.
fn revision() -> Option<String> {
    let built = option_env!("DUBENCH_BUILT_REVISION").map(str::to_owned);
    let said = [std::env::var(REVISION_VARIABLE).ok(), built];
    said.into_iter().flatten().find(|text| !text.is_empty())
}

/// Metadata of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// [`FORMAT`].
    pub format: u32,
    /// What the file holds.
    pub kind: Kind,
    /// Plan or stage that the file belongs to.
    pub stage_id: String,
    /// Digest of the content, times apart.
    pub content_sha256: String,
    /// Who made it, with what.
    pub provenance: Provenance,
    /// What else belongs to the kind: shapes, counts, times.
    pub detail: Value,
}

impl Envelope {
    /// Reads the metadata entry of `path`.
    ///
    /// # Errors
    /// [`StoreError::Malformed`], [`StoreError::Version`], or [`StoreError::Mismatch`] for another kind.
    pub(super) fn parse(path: &Path, text: &str, kind: Kind) -> Result<Self, StoreError> {
        let value: Value = serde_json::from_str(text).map_err(StoreError::decode(path))?;
        let got = value.get("format").and_then(Value::as_u64).unwrap_or(0);
        if got != u64::from(FORMAT) {
            let (path, expected) = (path.to_owned(), u64::from(FORMAT));
            return Err(StoreError::Version { path, got, expected });
        }
        let envelope: Self = serde_json::from_value(value).map_err(StoreError::decode(path))?;
        check(path, "kind", &format!("{:?}", envelope.kind), &format!("{kind:?}"))?;
        Ok(envelope)
    }

    /// Refuses a file of other work.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`].
    pub fn belongs_to(&self, path: &Path, stage_id: &str) -> Result<(), StoreError> {
        check(path, "plan", &self.stage_id, stage_id)
    }
}

/// Refuses a file whose `field` is not the expected one.
///
/// # Errors
/// [`StoreError::Mismatch`].
pub(super) fn check(path: &Path, field: &str, got: &str, expected: &str) -> Result<(), StoreError> {
    if got == expected {
        return Ok(());
    }
    Err(StoreError::Mismatch {
        path: path.to_owned(),
        field: field.to_owned(),
        got: got.to_owned(),
        expected: expected.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_format_or_kind_is_refused_by_name() {
        let envelope = Envelope {
            format: FORMAT,
            kind: Kind::Images,
            stage_id: "a".into(),
            content_sha256: "b".into(),
            provenance: Provenance::new("closed form", "cpu"),
            detail: Value::Null,
        };
        let text = serde_json::to_string(&envelope).unwrap();
        let path = Path::new("p");
        assert_eq!(Envelope::parse(path, &text, Kind::Images).unwrap(), envelope);
        let field = |result: Result<Envelope, StoreError>| match result {
            Err(StoreError::Mismatch { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(Envelope::parse(path, &text, Kind::Features)), "kind");
        let newer = text.replacen("\"format\":2", "\"format\":3,\"more\":1", 1);
        let error = Envelope::parse(path, &newer, Kind::Images).unwrap_err();
        assert!(matches!(error, StoreError::Version { got: 3, expected: 2, .. }), "{error}");
        assert!(envelope.belongs_to(path, "c").is_err());
    }
}
