//! Maps of latents where they meet errors of pixels.
//!
//! A latent model is asked where it is unsure of a latent `[c, h, w]`; truth and error are images `[3, H, W]`. Each place of a
//! latent covers `H / h x W / w` pixels, so its channels are summed, and the sum stands for every pixel and channel there.

use dubench_metrics::MetricError;
use ndarray::{Array2, ArrayView2, Axis};

use crate::protocol::MethodMaps;

/// Maps of a method, one value for each element of an image `[c, h, w]`. Those that are so already stay as they are.
///
/// # Errors
/// [`MetricError::LengthMismatch`] for maps whose places do not cover whole pixels.
pub(super) fn over_pixels(
    method: MethodMaps,
    [c, height, width]: [usize; 3],
) -> Result<MethodMaps, MetricError> {
    if method.shape == [c, height, width] {
        return Ok(method);
    }
    let [channels, h, w] = method.shape;
    let mut maps = Array2::zeros((method.maps.nrows(), c * height * width));
    for (map, mut row) in method.maps.outer_iter().zip(maps.outer_iter_mut()) {
        let sums = map.to_shape((channels, h * w)).map_err(|_| mismatch(map.len(), h * w))?;
        let sums = sums.sum_axis(Axis(0));
        let sums = sums.to_shape((h, w)).map_err(|_| mismatch(map.len(), h * w))?;
        let pixels = repeated(&sums.view(), (height, width))?;
        for (value, sum) in row.iter_mut().zip(pixels.iter().cycle()) {
            *value = *sum;
        }
    }
    Ok(MethodMaps { maps, shape: [c, height, width], ..method })
}

/// A map `[h, w]` over `[height, width]` pixels: each value repeated over those of its place.
///
/// # Errors
/// [`MetricError::LengthMismatch`] unless the height and width are multiples of those of the map.
pub(super) fn repeated(
    map: &ArrayView2<'_, f32>,
    (height, width): (usize, usize),
) -> Result<Array2<f32>, MetricError> {
    let (h, w) = map.dim();
    if map.is_empty() || !height.is_multiple_of(h) || !width.is_multiple_of(w) {
        return Err(mismatch(map.len(), height * width));
    }
    let (down, across) = (height / h, width / w);
    Ok(Array2::from_shape_fn((height, width), |(y, x)| map[[y / down, x / across]]))
}

fn mismatch(got: usize, expected: usize) -> MetricError {
    MetricError::LengthMismatch { what: "the places of a map, over whole pixels", got, expected }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::store::records::Span;
    use crate::units::Nfe;

    fn method(maps: Array2<f32>, shape: [usize; 3]) -> MethodMaps {
        let (name, nfe) = ("one".to_owned(), Nfe::default());
        MethodMaps { name, span: Span::Window, maps, shape, nfe, seconds: 0.0 }
    }

    #[test]
    fn channels_are_summed_and_places_repeated() {
        // Two images of latents [2, 1, 2].
        let latents = method(array![[1.0, 2.0, 10.0, 20.0], [3.0, 4.0, 0.0, 0.5]], [2, 1, 2]);
        let got = over_pixels(latents, [3, 2, 4]).unwrap();
        let rows = [[11.0_f32, 22.0], [3.0, 4.5]]
            .map(|[left, right]| [left, left, right, right].repeat(2 * 3));
        assert_eq!(got.shape, [3, 2, 4]);
        assert_eq!(got.maps.row(0).to_vec(), rows[0]);
        assert_eq!(got.maps.row(1).to_vec(), rows[1]);
    }

    #[test]
    fn maps_of_pixels_stay() {
        let maps = Array2::from_shape_fn((2, 12), |(row, at)| (row * 12 + at) as f32);
        let got = over_pixels(method(maps.clone(), [3, 2, 2]), [3, 2, 2]).unwrap();
        assert_eq!(got.maps, maps);
    }

    #[test]
    fn places_that_cut_pixels_are_refused() {
        let error = over_pixels(method(Array2::zeros((1, 6)), [1, 2, 3]), [3, 4, 4]).unwrap_err();
        assert!(error.to_string().contains("whole pixels"), "{error}");
    }
}
