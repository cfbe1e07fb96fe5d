//! Reference statistics: `(n, mu, sigma)` of the features of a data set (`dubench stats`).
//!
//! Images are taken in blocks of [`BLOCK_IMAGES`]. The features of each block are published in the
//! work folder before the next begins, so that a run may be killed at any time and picks up where
//! it was, and so that later tools reuse features instead of computing them again. A thread of its own reads ahead
//! by a few pieces of [`PIECE_IMAGES`], so that the network need not wait for files and decoders.

mod array_batches;
pub mod array_images;
pub mod block;
pub mod class_list;
mod containers;
pub mod convention;
mod decode;
mod encoded;
pub mod fashion_mnist;
pub mod file;
pub mod folder;
mod jpeg;
pub mod open;
mod pictures;
mod pieces;
mod runs;
mod shared;
pub mod source;
#[cfg(test)]
mod tests;
pub mod transform;

pub use file::{Provenance, ReferenceStatistics};
pub use runs::features as features_of_runs;
pub use shared::SharedImages;
pub use source::ImageSource;

use std::ops::Range;
use std::path::{Path, PathBuf};

use dubench_metrics::MomentsBuilder;
use ndarray::{Array2, s};

use crate::exit::{Exit, Exits};
use crate::model::{ExtractorId, FeatureExtractor, ModelError};
use crate::store::StoreError;

/// Images of one block.
pub const BLOCK_IMAGES: usize = 1024;

/// Images that are read and handed to the network at once; a part of [`BLOCK_IMAGES`].
pub const PIECE_IMAGES: usize = 64;

/// Why statistics could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum StatisticsError {
    /// The feature network failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An array could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file is not what its name or its caller promises.
    #[error("{path}: {message}", path = path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, the remedy.
        message: String,
    },
    /// A file does not have the bytes that were published.
    #[error("{path}: {message}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong and the remedy.
        message: String,
    },
    /// The features of a data set have no moments.
    #[error("{dataset}: {message}")]
    Moments {
        /// The data set.
        dataset: String,
        /// Why.
        message: String,
    },
    /// More images cannot be read than may be left out.
    #[error(
        "{dataset}: {n} images cannot be read, --skip-unreadable allows {budget}: {first}; copy or convert them, or allow more if their absence does not matter"
    )]
    Unreadable {
        /// The data set.
        dataset: String,
        /// How many so far.
        n: usize,
        /// How many may be left out.
        budget: usize,
        /// What is wrong with the first of them.
        first: String,
    },
    /// A covariance needs two images.
    #[error("{dataset} has {n} images: a covariance needs at least 2")]
    TooFew {
        /// The data set.
        dataset: String,
        /// Its size.
        n: usize,
    },
}

impl Exits for StatisticsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Model(error) => error.exit(),
            Self::Store(error) => error.exit(),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Exit::Resources
            }
            Self::Io { .. }
            | Self::Input { .. }
            | Self::Unreadable { .. }
            | Self::TooFew { .. } => Exit::Input,
            Self::Moments { .. } => Exit::Gate,
            Self::Damaged { .. } => Exit::Integrity,
        }
    }
}

impl StatisticsError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    fn metric(dataset: &str, error: &dubench_metrics::MetricError) -> Self {
        Self::Moments { dataset: dataset.to_owned(), message: error.to_string() }
    }

    pub(crate) fn damaged(path: &Path, message: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), message: message.into() }
    }

    pub(crate) fn input(path: &Path, message: impl Into<String>) -> Self {
        Self::Input { path: path.to_owned(), message: message.into() }
    }
}

/// One finished block, told to the progress callback of [`features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDone {
    /// Images of the data set that now have features.
    pub n_done: usize,
    /// Images of the data set.
    pub n_images: usize,
    /// Images whose features this block computed; 0 when they were there already.
    pub n_computed: usize,
}

/// Features of a whole data set, block by block in the work folder.
#[derive(Debug)]
pub struct FeatureBlocks {
    folder: PathBuf,
    headers: Vec<block::Header>,
}

impl FeatureBlocks {
    /// The blocks' headers, in order.
    pub fn headers(&self) -> &[block::Header] {
        &self.headers
    }

    /// Features of block `index`, `[rows, dim]` f32, checked against the published hash.
    ///
    /// # Errors
    /// [`StatisticsError`] when the file is missing or damaged.
    pub fn read(&self, index: usize) -> Result<Array2<f32>, StatisticsError> {
        block::read_features(&self.folder, index, &self.headers[index])
    }
}

/// Where blocks of features are kept, and what goes into their headers as their maker.
#[derive(Clone, Copy, Debug)]
pub struct WorkFolder<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Program, runtime, device, threads and batch.
    pub made_by: &'a str,
}

/// Computes the features of `source` that the work folder does not hold yet.
///
/// A block counts as done when its published header names the same images and the same network and
/// its feature file has the promised bytes; a damaged block is computed again.
///
/// # Errors
/// [`StatisticsError`] from the source, the network or the file system;
/// [`StatisticsError::Input`] when the folder holds features of other images or another network.
pub fn features(
    source: &mut dyn ImageSource,
    extractor: &mut dyn FeatureExtractor,
    work: &WorkFolder<'_>,
    on_block: &mut dyn FnMut(BlockDone),
) -> Result<FeatureBlocks, StatisticsError> {
    let folder = work.folder;
    std::fs::create_dir_all(folder).map_err(StatisticsError::io(folder))?;
    let (n_images, limit) = (source.len(), source.run_limit());
    let headers = pieces::read_ahead(source, |pieces| {
        let mut headers = Vec::with_capacity(n_images.div_ceil(BLOCK_IMAGES));
        for (index, start) in (0..n_images).step_by(BLOCK_IMAGES).enumerate() {
            let n_done = (start + BLOCK_IMAGES).min(n_images);
            let (header, n_computed) =
                one_block(pieces, extractor, work, (index, start..n_done, limit))?;
            headers.push(header);
            on_block(BlockDone { n_done, n_images, n_computed });
        }
        Ok(headers)
    })?;
    Ok(FeatureBlocks { folder: folder.to_owned(), headers })
}

/// Header of a block, and how many images it took to get it.
fn one_block(
    pieces: &mut pieces::Pieces,
    extractor: &mut dyn FeatureExtractor,
    work: &WorkFolder<'_>,
    (index, range, limit): (usize, Range<usize>, Option<usize>),
) -> Result<(block::Header, usize), StatisticsError> {
    let found = block::find(work.folder, index)?;
    let is_there = found.as_ref().is_some_and(|found| found.is_whole);
    let (mut digest, mut rows) = (block::ImagesDigest::new(limit), Vec::new());
    for _ in range.step_by(PIECE_IMAGES) {
        let runs = pieces.next_piece()?;
        if !is_there {
            rows.push(runs::features(extractor, &runs)?);
        }
        for images in runs {
            digest.push(images);
        }
    }
    let promised = digest.promise(extractor.id());
    let header = found.map(|found| found.checked(&promised)).transpose()?;
    if let (Some(header), true) = (header, is_there) {
        return Ok((header, 0));
    }
    let features = stacked(extractor.id().dim, &rows);
    let header = block::publish_block(work.folder, index, promised, &features, work.made_by)?;
    Ok((header, features.nrows()))
}

/// All rows of some matrices of `dim` columns.
fn stacked(dim: usize, pieces: &[Array2<f32>]) -> Array2<f32> {
    let n = pieces.iter().map(Array2::nrows).sum();
    let mut all = Array2::zeros((n, dim));
    let mut next = 0;
    for piece in pieces {
        all.slice_mut(s![next..next + piece.nrows(), ..]).assign(piece);
        next += piece.nrows();
    }
    all
}

/// Mean and covariance (divisor `n - 1`) of published features, summed in f64 in block order.
///
/// # Errors
/// [`StatisticsError::TooFew`] below two images; [`StatisticsError`] when a block cannot be read.
pub fn reduce(
    dataset: &str,
    extractor: &ExtractorId,
    blocks: &FeatureBlocks,
) -> Result<ReferenceStatistics, StatisticsError> {
    let n: usize = blocks.headers().iter().map(|header| header.rows).sum();
    if n < 2 {
        return Err(StatisticsError::TooFew { dataset: dataset.to_owned(), n });
    }
    let mut moments = MomentsBuilder::new(extractor.dim);
    for index in 0..blocks.headers().len() {
        let rows = blocks.read(index)?;
        // All of its images may have been left out.
        if rows.is_empty() {
            continue;
        }
        moments.push(&rows).map_err(|error| StatisticsError::metric(dataset, &error))?;
    }
    let gaussian =
        moments.finish().gaussian().map_err(|error| StatisticsError::metric(dataset, &error))?;
    let images_sha256 = block::dataset_digest(blocks.headers());
    let provenance = Provenance {
        format: file::FORMAT,
        dataset: dataset.to_owned(),
        images_sha256: Some(images_sha256),
        extractor: extractor.clone(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime: None,
        images: None,
        covariance: None,
    };
    let (mu, sigma) = (gaussian.mean().to_owned(), gaussian.covariance().to_owned());
    Ok(ReferenceStatistics { n, mu, sigma, provenance })
}
