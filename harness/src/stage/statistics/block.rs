//! Published blocks of features: `features-00012.npy` and its header `features-00012.json`.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array4};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use sha2::{Digest, Sha256};

use super::StatisticsError;
use crate::model::ExtractorId;
use crate::store::publish;

/// Version of the block format.
pub const FORMAT: u32 = 1;

/// What a block must be the features of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    extractor: ExtractorId,
    rows: usize,
    images_sha256: String,
}

impl Promise {
    /// The features of all images of `runs`, `[b, 3, h, w]` each, in the network `extractor`.
    pub fn new(extractor: &ExtractorId, runs: &[Array4<u8>]) -> Self {
        let images_sha256 = match runs {
            [images] => images_digest(images),
            runs => {
                let mut hasher = Sha256::new();
                for images in runs {
                    hasher.update(images_digest(images).as_bytes());
                }
                hex(&hasher.finalize())
            }
        };
        let rows = runs.iter().map(|images| images.dim().0).sum();
        Self { extractor: extractor.clone(), rows, images_sha256 }
    }
}

/// Header of a published block. It is written last: without it the block does not exist.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Format version.
    pub format: u32,
    /// Network and preprocessing.
    pub extractor: ExtractorId,
    /// Images of the block.
    pub rows: usize,
    /// Digest of shape and bytes of the images, in order.
    pub images_sha256: String,
    /// Digest of the feature file.
    pub features_sha256: String,
    /// Program, runtime, device, threads and batch that made it. Not compared: it says where the
    /// last bits come from.
    pub made_by: String,
}

/// Digest of all images of a data set in order: the digest of its blocks' digests.
pub fn dataset_digest(headers: &[Header]) -> String {
    let mut hasher = Sha256::new();
    for header in headers {
        hasher.update(header.images_sha256.as_bytes());
        hasher.update(b"\n");
    }
    hex(&hasher.finalize())
}

/// Header of block `index` where it is published, whole, and the features of what is promised.
///
/// # Errors
/// [`StatisticsError::Input`] when the block belongs to other images or another network.
pub fn find(
    folder: &Path,
    index: usize,
    promise: &Promise,
) -> Result<Option<Header>, StatisticsError> {
    let path = header_path(folder, index);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StatisticsError::Io { path, source: error }),
    };
    let header: Header = match serde_json::from_slice(&text) {
        Ok(header) => header,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "unreadable block header, computing the block again");
            return Ok(None);
        }
    };
    same(&path, &header, promise)?;
    match read_features(folder, index, &header) {
        Ok(_) => Ok(Some(header)),
        Err(error) => {
            tracing::warn!(%error, "damaged block, computing it again");
            Ok(None)
        }
    }
}

fn same(path: &Path, header: &Header, promise: &Promise) -> Result<(), StatisticsError> {
    let differs = |what: &str, got: String, expected: String| {
        Err(StatisticsError::input(
            path,
            format!("{what} is {got}, this run has {expected}: use another work folder"),
        ))
    };
    if header.format != FORMAT {
        return differs("the format", header.format.to_string(), FORMAT.to_string());
    }
    if header.extractor != promise.extractor {
        let show = |id: &ExtractorId| format!("{id:?}");
        return differs("the extractor", show(&header.extractor), show(&promise.extractor));
    }
    if header.images_sha256 != promise.images_sha256 || header.rows != promise.rows {
        return differs(
            "the digest of the images",
            header.images_sha256.clone(),
            promise.images_sha256.clone(),
        );
    }
    Ok(())
}

/// Features of block `index`, checked against its header.
///
/// # Errors
/// [`StatisticsError::Io`] when the file cannot be read, [`StatisticsError::Damaged`] when it does
/// not have the promised bytes.
pub fn read_features(
    folder: &Path,
    index: usize,
    header: &Header,
) -> Result<Array2<f32>, StatisticsError> {
    let path = features_path(folder, index);
    let bytes = std::fs::read(&path).map_err(StatisticsError::io(&path))?;
    let damaged = |message: String| StatisticsError::Damaged { path: path.clone(), message };
    let digest = hex(&Sha256::digest(&bytes));
    if digest != header.features_sha256 {
        let promised = &header.features_sha256;
        return Err(damaged(format!("sha256 is {digest}, {promised} was promised")));
    }
    let features =
        Array2::<f32>::read_npy(Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
    let expected = (header.rows, header.extractor.dim);
    if features.dim() != expected {
        return Err(damaged(format!("shape is {:?}, expected {expected:?}", features.dim())));
    }
    Ok(features)
}

/// Publishes the features of block `index`: the array first, its header last.
///
/// # Errors
/// [`StatisticsError::Io`].
pub fn publish_block(
    folder: &Path,
    index: usize,
    promise: Promise,
    features: &Array2<f32>,
    made_by: &str,
) -> Result<Header, StatisticsError> {
    let path = features_path(folder, index);
    let mut bytes = Vec::with_capacity(features.len() * 4 + 256);
    features
        .write_npy(&mut bytes)
        .map_err(|error| StatisticsError::input(&path, error.to_string()))?;
    publish(&path, &bytes).map_err(StatisticsError::io(&path))?;
    let header = Header {
        format: FORMAT,
        extractor: promise.extractor,
        rows: promise.rows,
        images_sha256: promise.images_sha256,
        features_sha256: hex(&Sha256::digest(&bytes)),
        made_by: made_by.to_owned(),
    };
    let path = header_path(folder, index);
    let text = serde_json::to_vec_pretty(&header)
        .map_err(|error| StatisticsError::input(&path, error.to_string()))?;
    publish(&path, &text).map_err(StatisticsError::io(&path))?;
    Ok(header)
}

fn features_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("features-{index:05}.npy"))
}

fn header_path(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("features-{index:05}.json"))
}

fn images_digest(images: &Array4<u8>) -> String {
    let mut hasher = Sha256::new();
    for dim in images.shape() {
        hasher.update((*dim as u64).to_le_bytes());
    }
    match images.as_slice() {
        Some(bytes) => hasher.update(bytes),
        None => hasher.update(images.iter().copied().collect::<Vec<u8>>()),
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
