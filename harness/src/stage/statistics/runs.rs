//! Images of several sizes: runs of one size each.

use ndarray::{Array2, Array4, s};

use crate::model::{FeatureExtractor, ModelError};

/// Features `[n, dim]` of all images of `runs`, in order.
///
/// # Errors
/// Those of the network.
pub fn features(
    extractor: &mut dyn FeatureExtractor,
    runs: &[Array4<u8>],
) -> Result<Array2<f32>, ModelError> {
    let n = runs.iter().map(|images| images.dim().0).sum();
    let mut features = Array2::zeros((n, extractor.id().dim));
    let mut next = 0;
    for images in runs {
        let end = next + images.dim().0;
        features.slice_mut(s![next..end, ..]).assign(&extractor.extract(images.view())?);
        next = end;
    }
    Ok(features)
}
