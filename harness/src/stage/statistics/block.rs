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

/// Digest of the images of a block while they come in pieces. A run is images of one size that follow each other, of
/// `limit` at most where there is one: then no more than a piece is kept, else a whole run.
#[derive(Debug, Default)]
pub struct ImagesDigest {
    limit: Option<usize>,
    open: Vec<Array4<u8>>,
    digests: Vec<String>,
    rows: usize,
}

impl ImagesDigest {
    /// The digest of runs of at most `limit` images.
    pub fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Takes the images that follow, `[b, 3, h, w]`: a run, or a part of one.
    pub fn push(&mut self, images: Array4<u8>) {
        self.rows += images.dim().0;
        let goes_on =
            self.open.first().is_some_and(|open| open.shape()[1..] == images.shape()[1..]);
        if !goes_on || self.limit.is_some() {
            self.close();
        }
        self.open.push(images);
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        let Some(first) = open.first() else { return };
        let mut hasher = Sha256::new();
        let rows: usize = open.iter().map(|images| images.dim().0).sum();
        for dim in [rows].iter().chain(&first.shape()[1..]) {
            hasher.update((*dim as u64).to_le_bytes());
        }
        for images in &open {
            match images.as_slice() {
                Some(bytes) => hasher.update(bytes),
                None => hasher.update(images.iter().copied().collect::<Vec<u8>>()),
            }
        }
        self.digests.push(hex(&hasher.finalize()));
    }

    /// What a block of these images must be.
    pub fn promise(mut self, extractor: &ExtractorId) -> Promise {
        self.close();
        let images_sha256 = match &self.digests[..] {
            [digest] => digest.clone(),
            digests => {
                let mut hasher = Sha256::new();
                for digest in digests {
                    hasher.update(digest.as_bytes());
                }
                hex(&hasher.finalize())
            }
        };
        Promise { extractor: extractor.clone(), rows: self.rows, images_sha256 }
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

/// A block that stands in the work folder.
#[derive(Clone, Debug)]
pub struct Found {
    path: PathBuf,
    header: Header,
    /// Whether its features have the promised bytes.
    pub is_whole: bool,
}

impl Found {
    /// The header, where the block is that of the promise.
    ///
    /// # Errors
    /// [`StatisticsError::Input`] when it belongs to other images or another network.
    pub fn checked(self, promise: &Promise) -> Result<Header, StatisticsError> {
        same(&self.path, &self.header, promise)?;
        Ok(self.header)
    }
}

/// Block `index`, where there is one with a header that can be read.
///
/// # Errors
/// [`StatisticsError::Io`] when the header is there and cannot be read.
pub fn find(folder: &Path, index: usize) -> Result<Option<Found>, StatisticsError> {
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
    let is_whole = match read_features(folder, index, &header) {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "damaged block, computing it again");
            false
        }
    };
    Ok(Some(Found { path, header, is_whole }))
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

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
