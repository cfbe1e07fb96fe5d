//! What an image costs the graphs of a bundle: operations and memory.

use std::num::NonZeroUsize;
use std::path::Path;

use super::open::{describe, forward, to_derive};
use crate::config::model_yaml::TaskYaml;
use crate::graph::flops::ImageWork;
use crate::graph::{Names, vjp};
use crate::model::ModelError;
use crate::model::onnx::RuntimeOptions;
use crate::model::onnx::derive::{DeriveError, vjp_graph};
use crate::model::onnx::footprint::{Measured, bytes_per_image};
use crate::model::onnx::operations::{Counted, image_work};

/// Operations of one image in each graph (or why they are not known), and memory.
#[derive(Clone, Debug)]
pub struct BundleWork {
    /// The denoiser.
    pub forward: Result<ImageWork, String>,
    /// The decoder of latents; 0 for pixels.
    pub decoder: Result<u64, String>,
    /// The encoder; 0 where there is none.
    pub encoder: Result<u64, String>,
    /// Bytes of all files.
    pub weight_bytes: u64,
    /// Bytes that one more image adds to a prediction.
    pub bytes_per_image: Option<NonZeroUsize>,
    /// The same of a vector-Jacobian product, where it is asked for and there is one.
    pub bytes_per_product: Option<NonZeroUsize>,
    /// `[3, H, W]` of an image, where it is known.
    pub image: Option<[usize; 3]>,
}

/// Looks into the graphs of the bundle in `folder`, which was opened before; `gradients` asks for the memory of a product too.
///
/// # Errors
/// [`ModelError`] for a description that is wrong, and where the runtime or the cache folder cannot be had.
pub fn bundle_work(
    folder: &Path,
    gradients: bool,
    options: &RuntimeOptions,
) -> Result<BundleWork, ModelError> {
    let model = describe(folder)?;
    let content = |file: &str| model.files.get(file).map_or("", |file| file.sha256.as_str());
    let state = model.task.shape();
    let of = |file: &str, axes: [usize; 3]| {
        let counted = Counted { path: &folder.join(file), content: content(file), axes };
        image_work(counted, Names::default(), options)
    };
    let (path, digest) = forward(folder, &model);
    let plain = to_derive(&path, &model);
    let names = Names { x: Some(plain.x), output: Some(plain.output) };
    let counted = Counted { path: &path, content: digest, axes: plain.axes };
    let [_, h, w] = state;
    let (mut image, mut decoded, mut encoded) = (Some([3, h, w]), Ok(0), Ok(0));
    if let TaskYaml::Latent { decoder, encoder, .. } = &model.task {
        let work = of(decoder, state)?;
        image = work.as_ref().ok().and_then(|work| work.output.clone().try_into().ok());
        decoded = work.map(|work| work.forward);
        if let (Some(encoder), Some(image)) = (encoder, image) {
            encoded = of(encoder, image)?.map(|work| work.forward);
        }
    }
    let rows = NonZeroUsize::MIN;
    let measured = Measured { path: &path, content: digest, names, rows };
    Ok(BundleWork {
        forward: image_work(counted, names, options)?,
        decoder: decoded,
        encoder: encoded,
        weight_bytes: model.files.values().map(|file| file.bytes).sum(),
        bytes_per_image: bytes_per_image(measured, options)?,
        bytes_per_product: if gradients { product(plain, options)? } else { None },
        image,
    })
}

fn product(
    plain: crate::model::onnx::derive::Forward<'_>,
    options: &RuntimeOptions,
) -> Result<Option<NonZeroUsize>, ModelError> {
    let derived = match vjp_graph(plain, options) {
        Ok(derived) => derived,
        Err(DeriveError::Graph(_)) => return Ok(None),
        Err(DeriveError::Model(error)) => return Err(error),
    };
    let content = derived.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let names = Names { x: Some(plain.x), output: Some(vjp::JTV) };
    let rows = NonZeroUsize::MIN;
    bytes_per_image(Measured { path: &derived.path, content, names, rows }, options)
}
