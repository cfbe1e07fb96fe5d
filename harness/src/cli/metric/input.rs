//! What people point at: features, statistics, or images whose features are computed here.

use std::path::{Path, PathBuf};

use dubench_metrics::{Features, Gaussian, Reference};

use crate::cli::answer::Context;
use crate::cli::arguments::FeatureOptions;
use crate::cli::error::CliError;
use crate::cli::extractor;
use crate::cli::progress::TerminalProgress;
use crate::model::onnx::OnnxExtractor;
use crate::model::{ExtractorId, FeatureExtractor};
use crate::stage::Progress;
use crate::stage::statistics::open::open;
use crate::stage::statistics::{BLOCK_IMAGES, ImageSource};
use crate::store::arrays::{Matrix, read_matrix};
use crate::store::statistics::Statistics;
use crate::store::{StoreError, arrays};

/// Opens inputs; the feature network is opened when the first images come.
pub(super) struct Input<'a> {
    features: Option<&'a FeatureOptions>,
    network: Option<OnnxExtractor>,
    progress: TerminalProgress,
}

/// One side of a comparison.
pub(super) struct Opened {
    path: PathBuf,
    set: SampleSet,
    extractor: Option<ExtractorId>,
}

/// What is known of a set of images.
pub(super) enum SampleSet {
    /// One row an image.
    Features(Matrix),
    /// Mean and covariance alone.
    Statistics(Gaussian),
}

impl<'a> Input<'a> {
    /// Inputs whose images go through the feature network of the options.
    pub(super) fn new(features: &'a FeatureOptions, context: Context) -> Self {
        Self {
            features: Some(features),
            network: None,
            progress: TerminalProgress::new(context.quiet),
        }
    }

    /// Inputs that must be features or statistics.
    pub(super) fn of_features(context: Context) -> Self {
        Self { features: None, network: None, progress: TerminalProgress::new(context.quiet) }
    }

    /// Opens `.npy` features, `.npz` statistics or images, or a folder of images.
    pub(super) fn open(&mut self, path: &Path) -> Result<Opened, CliError> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let (set, extractor) = match extension {
            Some("npy") => (SampleSet::Features(read_matrix(path)?), None),
            Some("npz") if arrays::has_array(path, "mu")? => statistics(path)?,
            _ => self.images(path)?,
        };
        Ok(Opened { path: path.to_owned(), set, extractor })
    }

    fn images(&mut self, path: &Path) -> Result<(SampleSet, Option<ExtractorId>), CliError> {
        let Some(options) = self.features else {
            let message =
                "expected .npy features or .npz statistics: compute them with `dubench stats`";
            return Err(StoreError::malformed(path, message).into());
        };
        let mut source = open(&path.to_string_lossy())?;
        let network = match self.network.take() {
            Some(network) => network,
            None => extractor::open(options)?,
        };
        let network = self.network.insert(network);
        let rows = extract(source.as_mut(), network, &self.progress)?;
        Ok((SampleSet::Features(Matrix::F32(rows)), Some(network.id().clone())))
    }
}

fn statistics(path: &Path) -> Result<(SampleSet, Option<ExtractorId>), CliError> {
    let statistics = Statistics::read(path)?;
    let n = statistics.n.and_then(|n| usize::try_from(n).ok());
    let gaussian = Gaussian::new(statistics.mu, statistics.sigma, n)?;
    Ok((SampleSet::Statistics(gaussian), statistics.extractor))
}

fn extract(
    source: &mut dyn ImageSource,
    network: &mut OnnxExtractor,
    progress: &TerminalProgress,
) -> Result<ndarray::Array2<f32>, CliError> {
    let n = source.len();
    let mut rows = ndarray::Array2::zeros((n, network.id().dim));
    progress.begin("features", n as u64, 0);
    for start in (0..n).step_by(BLOCK_IMAGES) {
        let end = (start + BLOCK_IMAGES).min(n);
        let images = source.read(start..end)?;
        let block = network.extract(images.view())?;
        rows.slice_mut(ndarray::s![start..end, ..]).assign(&block);
        progress.advance((end - start) as u64);
    }
    progress.end();
    Ok(rows)
}

impl Opened {
    /// What is known of the images.
    pub(super) fn set(&self) -> &SampleSet {
        &self.set
    }

    /// Feature network and preprocessing, where known.
    pub(super) fn extractor(&self) -> Option<&ExtractorId> {
        self.extractor.as_ref()
    }

    /// The rows; statistics have none.
    pub(super) fn features(&self) -> Result<Features<'_>, CliError> {
        match &self.set {
            SampleSet::Features(rows) => Ok(rows.as_features()),
            SampleSet::Statistics(_) => Err(StoreError::malformed(
                &self.path,
                "holds a mean and a covariance, and this metric needs one row an image: give features or images",
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

    /// Refuses two sides whose features come from different networks or preprocessings.
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
            _ => Ok(()),
        }
    }
}

/// Name, preprocessing and the start of the hash.
pub(super) fn describe(id: &ExtractorId) -> String {
    format!("{} ({}, sha256 {:.12})", id.name, id.preprocess, id.sha256)
}
