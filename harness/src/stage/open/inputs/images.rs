//! Real images: those that arms start from, and those that a scale draws of its reference.

use std::ops::Range;
use std::path::Path;

use ndarray::Array4;

use super::{reference_config, scale_of};
use crate::config::{Common, ScaleConfig};
use crate::experiment::plan::{Encoding, ModelFacts};
use crate::plan::{ImagesIdentity, RealIdentity, ReferenceIdentity, real_images};
use crate::stage::StageError;
use crate::stage::statistics::source::chosen;
use crate::stage::statistics::{BLOCK_IMAGES, ImageSource, StatisticsError, open};
use crate::store::digest::ContentHasher;
use crate::units::ClassLabel;

/// Real images, by the name that `dubench stats` takes, else by a path relative to the experiment file.
///
/// # Errors
/// [`StageError::Images`] when there is no such data set.
pub fn images(common: &Common, name: &str) -> Result<Box<dyn ImageSource>, StageError> {
    if open::is_named(name) {
        return Ok(open::open(name)?);
    }
    let path = common.resolve(Path::new(name));
    Ok(open::open(&path.to_string_lossy())?)
}

/// Identity of the images that the scale takes: their number in the set, and a hash of their pixels; of their classes too
/// where the model asks for some.
pub(super) fn images_identity(
    common: &Common,
    name: &str,
    (sizes, model, facts): (&ScaleConfig, &str, ModelFacts),
) -> Result<ImagesIdentity, StageError> {
    let mut source = images(common, name)?;
    let n = usize::try_from(sizes.n_pool).unwrap_or(usize::MAX);
    if source.len() < n {
        let message = format!("has {} images, scale n_pool asks for {n}", source.len());
        return Err(StatisticsError::input(Path::new(name), message).into());
    }
    let mut hasher = ContentHasher::default();
    let mut dim = 0;
    for start in (0..n).step_by(BLOCK_IMAGES) {
        let images = source.read(start..n.min(start + BLOCK_IMAGES))?;
        dim = images.len() / images.dim().0.max(1);
        see(&mut hasher, &images);
    }
    if let Some(n_classes) = facts.n_classes {
        let classes = classes(source.as_mut(), 0..n, (model, n_classes))?;
        let bytes: Vec<u8> = classes.iter().flat_map(|class| class.0.to_le_bytes()).collect();
        hasher.piece("classes", &bytes);
    }
    let (dataset, sha256, n) = (name.to_owned(), hasher.finish(), source.len() as u64);
    let latent = (facts.encoding == Encoding::Encoder).then_some(facts.shape);
    Ok(ImagesIdentity { dataset, sha256, n, dim, latent })
}

/// Takes shape and pixels of a block of images into a hash.
fn see(hasher: &mut ContentHasher, images: &Array4<u8>) {
    let sides = images.shape().iter().flat_map(|side| (*side as u64).to_le_bytes());
    hasher.piece("shape", &sides.collect::<Vec<u8>>());
    hasher.piece("images", &images.iter().copied().collect::<Vec<u8>>());
}

/// Classes of images for a model that takes `n_classes`.
///
/// # Errors
/// [`StageError::Images`] for a set that tells none, and for a class that the model does not have.
pub fn classes(
    source: &mut dyn ImageSource,
    range: Range<usize>,
    (model, n_classes): (&str, u32),
) -> Result<Vec<ClassLabel>, StageError> {
    let (name, start) = (source.name().to_owned(), range.start);
    let refused = |message: String| StatisticsError::input(Path::new(&name), message);
    let Some(classes) = source.classes(range)? else {
        let message = format!(
            "it tells no classes, and {model} asks for one of {n_classes}: give an .npz with `labels` [n] beside `arr_0`, or a folder with a subfolder a class"
        );
        return Err(refused(message).into());
    };
    match classes.iter().zip(start..).find(|(class, _)| class.0 >= n_classes) {
        None => Ok(classes),
        Some((class, at)) => Err(refused(format!(
            "image {at} is of class {}, and {model} has classes 0 to {}: number them as the model does",
            class.0,
            n_classes.saturating_sub(1)
        ))
        .into()),
    }
}

/// Identity of the real images that the scale draws of its reference: how many of how many, and a hash of their pixels.
pub(super) fn real_identity(
    common: &Common,
    sizes: &ScaleConfig,
    (n, reference): (u64, Option<&ReferenceIdentity>),
) -> Result<RealIdentity, StageError> {
    let name = real_name(common, sizes)?;
    let mut source = images(common, name)?;
    let of = source.len() as u64;
    let refuse = |message: String| StatisticsError::input(Path::new(name), message);
    if of < n {
        return Err(refuse(format!("has {of} images, scale n_real asks for {n}")).into());
    }
    if let Some(reference) = reference.and_then(|reference| reference.n).filter(|n| *n != of) {
        return Err(refuse(format!(
            "has {of} images, the reference statistics are of {reference}: name the images that they were made of"
        ))
        .into());
    }
    let mut hasher = ContentHasher::default();
    for samples in real_images::draw(common.seed, n, of).chunks(BLOCK_IMAGES) {
        see(&mut hasher, &chosen(source.as_mut(), samples)?);
    }
    Ok(RealIdentity { dataset: name.to_owned(), n, of, sha256: hasher.finish() })
}

/// What the reference of a scale calls its images.
fn real_name<'a>(common: &'a Common, sizes: &'a ScaleConfig) -> Result<&'a str, StageError> {
    let images = reference_config(common, sizes)?.images.as_deref();
    images.ok_or(StageError::Absent { what: "images of the reference (reference.images)" })
}

/// The data set that the real images of a scale are drawn of.
///
/// # Errors
/// [`StageError::Images`] when there is no such data set, [`StageError::Absent`] where the reference names none.
pub fn real_source(common: &Common, scale: &str) -> Result<Box<dyn ImageSource>, StageError> {
    images(common, real_name(common, scale_of(common, scale)?)?)
}
