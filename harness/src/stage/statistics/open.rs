//! From what people type to images.

use std::path::Path;

use super::array_images::ArrayImages;
use super::fashion_mnist::{FashionMnist, FashionMnistSplit};
use super::folder::ImageFolder;
use super::source::{Cifar10, Cifar10Split};
use super::{ImageSource, StatisticsError};
use crate::model::onnx::environment;
use crate::store::arrays::{Content, content};

/// Data sets that are known by name, from the files that set-up puts into the cache.
pub const NAMED: [&str; 4] =
    ["cifar10-train", "cifar10-test", "fashion-mnist-train", "fashion-mnist-test"];

/// Opens a data set by name ([`NAMED`]), a folder of images, or an array of images: `.npy`, or `.npz`
/// with `arr_0`, u8 `[n, h, w, 3]` or `[n, 3, h, w]`. What a file is, its content says.
///
/// # Errors
/// [`StatisticsError::Input`] for a name that is none of these, and the errors of the sources.
pub fn open(dataset: &str) -> Result<Box<dyn ImageSource>, StatisticsError> {
    if let Some(source) = named(dataset)? {
        return Ok(source);
    }
    let path = Path::new(dataset);
    if path.is_dir() {
        return Ok(Box::new(ImageFolder::open(path)?));
    }
    if path.is_file() && matches!(content(path)?, Content::Npy | Content::Npz) {
        return Ok(Box::new(ArrayImages::open(path)?));
    }
    let message = if path.is_file() {
        "is no set of images: expected a folder of images, or an array of them (.npy, or .npz with arr_0)".to_owned()
    } else {
        let names = NAMED.join(", ");
        format!(
            "no data set: expected {names}, a folder of images, or an array of them (.npy, or .npz with arr_0)"
        )
    };
    Err(StatisticsError::input(path, message))
}

/// Whether a data set is known by this name, and is no path.
pub fn is_named(dataset: &str) -> bool {
    NAMED.contains(&dataset)
}

fn named(dataset: &str) -> Result<Option<Box<dyn ImageSource>>, StatisticsError> {
    let cifar10 = |split| -> Result<Option<Box<dyn ImageSource>>, StatisticsError> {
        let folder = environment::cache_root()?.join("cifar10").join("cifar-10-batches-bin");
        Ok(Some(Box::new(Cifar10::open(&folder, split)?)))
    };
    let fashion = |split| -> Result<Option<Box<dyn ImageSource>>, StatisticsError> {
        let folder = environment::cache_root()?.join("fashion-mnist");
        Ok(Some(Box::new(FashionMnist::open(&folder, split)?)))
    };
    match dataset {
        "cifar10-train" => cifar10(Cifar10Split::Train),
        "cifar10-test" => cifar10(Cifar10Split::Test),
        "fashion-mnist-train" => fashion(FashionMnistSplit::Train),
        "fashion-mnist-test" => fashion(FashionMnistSplit::Test),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_lists_what_there_is() {
        let error = open("cifar100").err().expect("there is no such data set").to_string();
        assert!(error.starts_with("cifar100:") && error.contains("cifar10-train"), "{error}");
    }

    #[test]
    fn an_empty_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(open(&folder.path().to_string_lossy()).is_err());
    }
}
