//! Statistics that others have published: `mu` and `sigma` alone, and not a word of how they came to be. What is known of their
//! makers is here, and goes into the file that `dubench import-stats` writes.

use std::path::Path;

use dubench_metrics::Gaussian;

use super::file::{FORMAT, Provenance, ReferenceStatistics};
use super::{StatisticsError, transform::Recipe};
use crate::config::Preprocess;
use crate::model::ExtractorId;
use crate::store::digest::sha256_of_file;
use crate::store::statistics::{Images, Statistics};

/// How a maker of statistics goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convention {
    /// Name on the command line.
    pub name: &'static str,
    /// Who, and by which program.
    pub origin: &'static str,
    /// Resize and scaling on the way into the feature network.
    pub preprocess: Preprocess,
    /// What became of photographs, where it is known.
    pub recipe: Option<Recipe>,
}

/// The makers that are known.
///
/// All use the weights of 2015-12-05. U-ViT measures its own images by the code of pytorch-fid, and takes its statistics of
/// `ImageNet` from guided-diffusion (its README, "provide the FID reference statistics on ImageNet"), which resizes as TensorFlow
/// 1 does: statistics have the convention of who made them, not of who uses them.
pub const CONVENTIONS: [Convention; 4] = [
    Convention {
        name: "adm",
        origin: "guided-diffusion (evaluations/evaluator.py, the graph of TensorFlow 1)",
        preprocess: Preprocess::TorchFidelity,
        recipe: Some(Recipe::AdmCrop),
    },
    Convention {
        name: "u-vit",
        origin: "guided-diffusion, passed on by U-ViT",
        preprocess: Preprocess::TorchFidelity,
        recipe: Some(Recipe::AdmCrop),
    },
    Convention {
        name: "edm",
        origin: "EDM (fid.py, the graph of TensorFlow 1 in PyTorch)",
        preprocess: Preprocess::TorchFidelity,
        recipe: None,
    },
    Convention {
        name: "pytorch-fid",
        origin: "pytorch-fid (--save-stats)",
        preprocess: Preprocess::PytorchFid,
        recipe: None,
    },
];

/// Images of the training split of `ImageNet`.
const IMAGENET: u64 = 1_281_167;

/// A file that many have, known by its name: its maker, its images, their size and number.
struct Published {
    file: &'static str,
    convention: &'static str,
    dataset: &'static str,
    size: u64,
    n: u64,
}

const fn imagenet(file: &'static str, convention: &'static str, size: u64) -> Published {
    Published { file, convention, dataset: "imagenet-train", size, n: IMAGENET }
}

const PUBLISHED: [Published; 9] = [
    imagenet("VIRTUAL_imagenet64_labeled.npz", "adm", 64),
    imagenet("VIRTUAL_imagenet128_labeled.npz", "adm", 128),
    imagenet("VIRTUAL_imagenet256_labeled.npz", "adm", 256),
    imagenet("VIRTUAL_imagenet512.npz", "adm", 512),
    imagenet("fid_stats_imagenet256_guided_diffusion.npz", "u-vit", 256),
    imagenet("fid_stats_imagenet512_guided_diffusion.npz", "u-vit", 512),
    imagenet("imagenet-64x64.npz", "edm", 64),
    imagenet("imagenet-64x64-baseline.npz", "edm", 64),
    Published {
        file: "cifar10-32x32.npz",
        convention: "edm",
        dataset: "cifar10-train",
        size: 32,
        n: 50_000,
    },
];

/// What somebody says of statistics that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Data set and split.
    pub dataset: Option<String>,
    /// Height and width of the images.
    pub size: Option<u64>,
    /// Number of images.
    pub n: Option<u64>,
}

/// What is known of the images behind statistics.
struct Facts {
    dataset: String,
    size: u64,
    n: usize,
}

impl Convention {
    /// The convention of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        CONVENTIONS.iter().find(|convention| convention.name == name)
    }

    /// Reads statistics made by this convention, and says what is known of them: `extractor` is the feature network here with
    /// the preprocessing of the convention.
    ///
    /// # Errors
    /// [`StatisticsError::Store`] for files that cannot be read; [`StatisticsError::Input`] for statistics of other features, for a
    /// size or number that nobody knows, and where two that know disagree.
    pub fn import(
        &self,
        path: &Path,
        said: &Said,
        extractor: ExtractorId,
    ) -> Result<ReferenceStatistics, StatisticsError> {
        let statistics = Statistics::read(path)?;
        let refuse = |message: String| StatisticsError::input(path, message);
        if let Some(theirs) = &statistics.extractor {
            return Err(refuse(format!(
                "it says itself that its features are of {} ({}): name it in an experiment as it is",
                theirs.name, theirs.preprocess
            )));
        }
        if statistics.mu.len() != extractor.dim {
            return Err(refuse(format!(
                "mu has {} values, features of {} have {}: give statistics of that network",
                statistics.mu.len(),
                extractor.name,
                extractor.dim
            )));
        }
        let Facts { dataset, size, n } = self.facts(path, said, &statistics)?;
        let gaussian = Gaussian::new(statistics.mu, statistics.sigma, Some(n))
            .map_err(|error| refuse(error.to_string()))?;
        let images = Images {
            size: Some([size, size]),
            transform: self.recipe.map(|recipe| format!("{}:{size}", recipe.name())),
            origin: Some(format!("{}; sha256 {}", self.origin, sha256_of_file(path)?)),
            left_out: Vec::new(),
        };
        let provenance = Provenance {
            format: FORMAT,
            dataset,
            images_sha256: None,
            extractor,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            runtime: None,
            images: Some(images),
            covariance: None,
        };
        let (mu, sigma) = (gaussian.mean().to_owned(), gaussian.covariance().to_owned());
        Ok(ReferenceStatistics { n, mu, sigma, provenance })
    }

    /// What the file, its name and somebody say of its images.
    fn facts(
        &self,
        path: &Path,
        said: &Said,
        statistics: &Statistics,
    ) -> Result<Facts, StatisticsError> {
        let refuse = |message: String| StatisticsError::input(path, message);
        let known = self.known(path)?;
        let sizes = [
            ("--size", said.size),
            ("its name", known.map(|known| known.size)),
            ("its images", side(path, statistics.image_size)?),
        ];
        let size = agreed(path, "--size", sizes)?;
        let numbers =
            [("-n", said.n), ("its name", known.map(|known| known.n)), ("its n", statistics.n)];
        let n = usize::try_from(agreed(path, "-n", numbers)?)
            .map_err(|error| refuse(error.to_string()))?;
        let dataset = said.dataset.clone().or_else(|| known.map(|known| known.dataset.to_owned()));
        let dataset = dataset.ok_or_else(|| {
            refuse("nobody says which images it is of: add --dataset NAME".to_owned())
        })?;
        Ok(Facts { dataset, size, n })
    }

    /// What is known of a file by its name.
    fn known(&self, path: &Path) -> Result<Option<&'static Published>, StatisticsError> {
        let name = path.file_name().unwrap_or_default();
        let Some(known) = PUBLISHED.iter().find(|known| name == known.file) else {
            return Ok(None);
        };
        if known.convention != self.name {
            let message = format!(
                "files of this name are by {}, not by {}: give --from {}, or rename a file that is something else",
                known.convention, self.name, known.convention
            );
            return Err(StatisticsError::input(path, message));
        }
        Ok(Some(known))
    }
}

/// Side of square images.
fn side(path: &Path, size: Option<[u64; 2]>) -> Result<Option<u64>, StatisticsError> {
    match size {
        Some([h, w]) if h != w => {
            let message = format!("its images are {h} x {w}: expected squares");
            Err(StatisticsError::input(path, message))
        }
        size => Ok(size.map(|[h, _]| h)),
    }
}

/// The one number that all who know it say.
fn agreed(
    path: &Path,
    option: &str,
    voices: [(&str, Option<u64>); 3],
) -> Result<u64, StatisticsError> {
    let mut said = voices.into_iter().filter_map(|(who, number)| Some((who, number?)));
    let Some((who, number)) = said.next() else {
        let message = format!("neither its name nor its arrays say it: add {option} NUMBER");
        return Err(StatisticsError::input(path, message));
    };
    match said.find(|(_, other)| *other != number) {
        None => Ok(number),
        Some((other, theirs)) => {
            let message = format!(
                "{who} says {number}, {other} {theirs}: give the statistics that are meant"
            );
            Err(StatisticsError::input(path, message))
        }
    }
}

#[cfg(test)]
mod tests;
