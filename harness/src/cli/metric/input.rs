//! What people point at: features, statistics, or images whose features are computed here. Contents decide, not names.

use std::path::{Path, PathBuf};

use dubench_metrics::{Features, Gaussian, Reference};
use ndarray::{Array2, s};

use crate::cli::answer::Context;
use crate::cli::arguments::FeatureOptions;
use crate::cli::error::CliError;
use crate::cli::extractor;
use crate::cli::progress::TerminalProgress;
use crate::model::onnx::OnnxExtractor;
use crate::model::{ExtractorId, FeatureExtractor};
use crate::stage::Progress;
use crate::stage::statistics::array_images::is_images;
use crate::stage::statistics::open::open;
use crate::stage::statistics::{ImageSource, features_of_runs};
use crate::store::StoreError;
use crate::store::arrays::{Content, Matrix, content, read_matrix};
use crate::store::npz::Npz;
use crate::store::parquet_features::ParquetFeatures;
use crate::store::parquet_files::ParquetFiles;
use crate::store::picture_table::PictureTable;
use crate::store::statistics::Statistics;

/// Images that are read at once: memory for them, whatever the size of the set.
const READ_AT_ONCE: usize = 64;

/// Opens inputs; the feature network is opened when the first images come.
pub(super) struct Input<'a> {
    features: &'a FeatureOptions,
    network: Option<OnnxExtractor>,
    progress: TerminalProgress,
}

/// One side of a comparison.
pub(super) struct Opened {
    path: PathBuf,
    set: SampleSet,
    extractor: Option<ExtractorId>,
    notes: Vec<String>,
}

/// What is known of a set of images.
pub(super) enum SampleSet {
    /// One row an image.
    Features(Matrix),
    /// Mean and covariance alone.
    Statistics(Gaussian),
}

/// What a metric makes do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A mean and a covariance, or more.
    Moments,
    /// One row an image.
    Rows,
}

impl<'a> Input<'a> {
    /// Inputs whose images go through the feature network of the options.
    ///
    /// # Errors
    /// For a device or a preprocessing that there is not, though all that comes be features.
    pub(super) fn new(features: &'a FeatureOptions, context: Context) -> Result<Self, CliError> {
        extractor::check(features)?;
        let progress = TerminalProgress::new(context.quiet);
        Ok(Self { features, network: None, progress })
    }

    /// Opens features, statistics, arrays of images, Parquet files, or a folder of images or of Parquet files.
    pub(super) fn open(&mut self, path: &Path, need: Need) -> Result<Opened, CliError> {
        if let Some(found) = ParquetFiles::find(path)? {
            if PictureTable::holds_images(&found) {
                return self.images(path);
            }
            let ParquetFeatures { rows, extractor, notes } = ParquetFeatures::read(&found)?;
            let set = SampleSet::Features(finite(path, rows)?);
            return Ok(Opened { path: path.to_owned(), set, extractor, notes });
        }
        let content = if path.is_file() { content(path)? } else { Content::Other };
        let opened =
            |set, extractor| Opened { path: path.to_owned(), set, extractor, notes: Vec::new() };
        match content {
            Content::Npz
                if holds_moments(path)? && (need == Need::Moments || !holds_rows(path)?) =>
            {
                let statistics = Statistics::read(path)?;
                let n = statistics.n.and_then(|n| usize::try_from(n).ok());
                let gaussian = Gaussian::new(statistics.mu, statistics.sigma, n)?;
                Ok(opened(SampleSet::Statistics(gaussian), statistics.extractor))
            }
            Content::Npy | Content::Npz if !is_images(path)? => {
                Ok(opened(SampleSet::Features(finite(path, read_matrix(path)?)?), None))
            }
            _ => self.images(path),
        }
    }

    fn images(&mut self, path: &Path) -> Result<Opened, CliError> {
        let mut source = open(&path.to_string_lossy())?;
        let network = match self.network.take() {
            Some(network) => network,
            None => extractor::open(self.features)?,
        };
        let network = self.network.insert(network);
        let rows = extract(source.as_mut(), network, &self.progress)?;
        Ok(Opened {
            path: path.to_owned(),
            set: SampleSet::Features(Matrix::F32(rows)),
            extractor: Some(network.id().clone()),
            notes: source.notes(),
        })
    }
}

/// Refuses rows with a value that is none, by the name of their file.
fn finite(path: &Path, rows: Matrix) -> Result<Matrix, StoreError> {
    match rows.not_finite() {
        None => Ok(rows),
        Some((row, column, value)) => Err(StoreError::input(
            path,
            format!(
                "features hold {value} at row {row}, column {column}: remove or recompute that row"
            ),
        )),
    }
}

fn holds_moments(path: &Path) -> Result<bool, StoreError> {
    let npz = Npz::open(path)?;
    Ok(npz.has("mu") || npz.has("sigma"))
}

fn holds_rows(path: &Path) -> Result<bool, StoreError> {
    let npz = Npz::open(path)?;
    Ok(["feats", "features", "arr_0"].iter().any(|key| npz.has(key)))
}

fn extract(
    source: &mut dyn ImageSource,
    network: &mut OnnxExtractor,
    progress: &TerminalProgress,
) -> Result<Array2<f32>, CliError> {
    let n = source.len();
    let mut rows = Array2::zeros((n, network.id().dim));
    progress.begin("features", n as u64, 0);
    for start in (0..n).step_by(READ_AT_ONCE) {
        let end = (start + READ_AT_ONCE).min(n);
        let block = features_of_runs(network, &source.read_runs(start..end)?)?;
        rows.slice_mut(s![start..end, ..]).assign(&block);
        progress.advance((end - start) as u64);
    }
    progress.end();
    Ok(rows)
}

impl Opened {
    /// Where it lies.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of the images.
    pub(super) fn set(&self) -> &SampleSet {
        &self.set
    }

    /// Number of images, where known.
    pub(super) fn n(&self) -> Option<usize> {
        match &self.set {
            SampleSet::Features(rows) => Some(rows.n()),
            SampleSet::Statistics(gaussian) => gaussian.n(),
        }
    }

    /// Feature network and preprocessing, where known.
    pub(super) fn extractor(&self) -> Option<&ExtractorId> {
        self.extractor.as_ref()
    }

    /// What a reader of the number should know of this side.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The rows; statistics have none.
    pub(super) fn features(&self) -> Result<Features<'_>, CliError> {
        match &self.set {
            SampleSet::Features(rows) => Ok(rows.as_features()),
            SampleSet::Statistics(_) => Err(StoreError::input(
                &self.path,
                "it holds a mean and a covariance, and this needs one row an image: give features [n, d] or images",
            )
            .into()),
        }
    }

    /// This side as the reference of a Fréchet distance.
    pub(super) fn reference(&self) -> Result<Reference, CliError> {
        Ok(match &self.set {
            SampleSet::Features(rows) => Reference::from_features(rows.as_features())?,
            SampleSet::Statistics(gaussian) => Reference::new(gaussian.clone())?,
        })
    }

    /// Features of an image.
    fn dim(&self) -> usize {
        match &self.set {
            SampleSet::Features(rows) => rows.dim(),
            SampleSet::Statistics(gaussian) => gaussian.mean().len(),
        }
    }

    /// Refuses two sides whose features come from different networks or preprocessings, or differ in number.
    pub(super) fn check_comparable(&self, other: &Self) -> Result<(), CliError> {
        match (&self.extractor, &other.extractor) {
            (Some(ours), Some(theirs)) if ours.difference(theirs).is_some() => {
                Err(CliError::Mismatch(format!(
                    "{} has features of {}, {} of {}: numbers across networks or preprocessings mean nothing; compute both with the same --extractor and --preprocess",
                    self.path.display(),
                    describe(ours),
                    other.path.display(),
                    describe(theirs)
                )))
            }
            _ => self.check_dim(other),
        }
    }

    fn check_dim(&self, other: &Self) -> Result<(), CliError> {
        if self.dim() != other.dim() {
            return Err(CliError::Mismatch(format!(
                "{} has {} features an image, {} {}: give both as images, or as features of one network",
                self.path.display(),
                self.dim(),
                other.path.display(),
                other.dim()
            )));
        }
        Ok(())
    }
}

/// Name, preprocessing and the start of the hash.
pub(super) fn describe(id: &ExtractorId) -> String {
    format!("{} ({}, sha256 {:.12})", id.name, id.preprocess, id.sha256)
}
