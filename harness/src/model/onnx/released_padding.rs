//! How the released code of Table 4 hands generated images to its feature network.

use ndarray::{Array4, ArrayView4, s};

/// DIFFERENCE (D25): u8 images `[n, 3, h, w]` as f32 in [0, 1], neither centred nor scaled to what the network was trained on: in
/// the middle of `side x side` zeros where they are smaller, the nearest pixel where they are larger. Real images are resized
/// and normalised, so the two sets lie in different places.
///
/// # Panics
/// For images without pixels, which no caller has.
pub(super) fn as_released(images: &ArrayView4<'_, u8>, side: usize) -> Array4<f32> {
    let (n, channels, h, w) = images.dim();
    let mut out = Array4::zeros((n, channels, side, side));
    if h <= side && w <= side {
        let (top, left) = ((side - h) / 2, (side - w) / 2);
        let mut inside = out.slice_mut(s![.., .., top..top + h, left..left + w]);
        inside.zip_mut_with(images, |to, from| *to = f32::from(*from) / 255.0);
        return out;
    }
    let nearest = |at: usize, from: usize| (at * from / side).min(from - 1);
    out.indexed_iter_mut().for_each(|((image, channel, y, x), to)| {
        *to = f32::from(images[[image, channel, nearest(y, h), nearest(x, w)]]) / 255.0;
    });
    out
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn small_images_lie_in_the_middle_of_zeros_and_of_large_ones_every_other_pixel_is_taken() {
        let small = array![[[[255_u8, 51], [0, 102]]]];
        let padded = as_released(&small.view(), 5);
        let expected = array![
            [0.0_f32, 0.0, 0.0, 0.0, 0.0],
            [0.0, 1.0, 0.2, 0.0, 0.0],
            [0.0, 0.0, 0.4, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 0.0]
        ];
        assert_eq!(padded.slice(s![0, 0, .., ..]), expected);
        let large =
            Array4::from_shape_fn((1, 1, 6, 6), |(_, _, y, x)| u8::try_from(6 * y + x).unwrap());
        let shrunk = as_released(&large.view(), 3).mapv(|value| (value * 255.0).round());
        assert_eq!(
            shrunk.slice(s![0, 0, .., ..]),
            array![[0.0, 2.0, 4.0], [12.0, 14.0, 16.0], [24.0, 26.0, 28.0]]
        );
    }
}
