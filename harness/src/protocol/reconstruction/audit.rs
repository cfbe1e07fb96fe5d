//! The released evaluation taken apart: which of its steps makes which part of a number.

use dubench_metrics::MetricError;
use dubench_metrics::sparsification::{
    Pool, Preset, Sparsification, SparsificationOptions, authors_code_error, sparsification,
};
use ndarray::Array2;

use super::maps::Images;

/// Rows that the released script allocates (train and test set), and rows that it fills: 60,000 and 5,000.
const PADDING: usize = 60_000 / 5_000;

/// How much of the released evaluation is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// All of it: truth in 0..1 against a reconstruction in 0..255, zero rows, one ranking, half precision.
    Released,
    /// Without the zero rows.
    NoPadding,
    /// With the zero rows, both images on one scale.
    OneScale,
    /// On one scale and without zero rows: pooled percentiles are left.
    OneScaleNoPadding,
    /// On one scale, image by image, exact areas: the default of this project.
    PerImage,
}

impl Rung {
    /// All rungs, from the released evaluation to ours.
    pub const ALL: [Self; 5] =
        [Self::Released, Self::NoPadding, Self::OneScale, Self::OneScaleNoPadding, Self::PerImage];

    /// Name, as in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::NoPadding => "no_padding",
            Self::OneScale => "one_scale",
            Self::OneScaleNoPadding => "one_scale_no_padding",
            Self::PerImage => "per_image",
        }
    }

    /// What is evaluated, in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Released => "as released",
            Self::NoPadding => "no zero rows",
            Self::OneScale => "one scale",
            Self::OneScaleNoPadding => "one scale, no zero rows",
            Self::PerImage => "per image, exact",
        }
    }

    fn mixes_scales(self) -> bool {
        matches!(self, Self::Released | Self::NoPadding)
    }

    fn pads(self) -> bool {
        matches!(self, Self::Released | Self::OneScale)
    }
}

/// AUSE and AURG of `uncertainty` `[n, c h w]` as a rung computes them.
///
/// DIFFERENCE (D20, D21): zero rows stand for eleven images in twelve, the released 5,000 in 60,000, whatever the number of
/// images here. They have no error and no uncertainty, so the first images that a ranking removes are the real
/// ones: the curve drops to zero after a twelfth, for any uncertainty.
///
/// # Errors
/// [`MetricError`] for arrays of different shape.
pub fn evaluate(
    images: &Images<'_>,
    uncertainty: &Array2<f32>,
    (rung, intervals): (Rung, usize),
) -> Result<Sparsification, MetricError> {
    let error = if rung.mixes_scales() {
        authors_code_error(images.truth, images.reconstruction)?
    } else {
        images.error()
    };
    let n = error.nrows();
    let preset = match rung {
        Rung::PerImage => Preset::Exact,
        _ if rung.pads() => Preset::AuthorsCode { n_rows: n * PADDING },
        _ => Preset::AuthorsCode { n_rows: n },
    };
    sparsification(
        &error,
        uncertainty,
        &SparsificationOptions { pool: Pool::Image, preset, intervals },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bright and dark pixels, all reconstructed but for a small error that the uncertainty knows nothing of.
    fn evaluated(rung: Rung) -> Sparsification {
        let truth = Array2::from_shape_fn((4, 300), |(i, k)| {
            u8::try_from((i * 67 + k * 37) % 250).unwrap()
        });
        let reconstruction = Array2::from_shape_fn((4, 300), |at| truth[at] + 1);
        let uncertainty = Array2::from_shape_fn((4, 300), |(i, k)| {
            ((i * 300 + k) as f32 * 0.618_034).fract() + 0.1
        });
        let images = Images {
            truth: truth.view(),
            reconstruction: reconstruction.view(),
            shape: [3, 10, 10],
        };
        evaluate(&images, &uncertainty, (rung, 50)).unwrap()
    }

    #[test]
    fn mixed_scales_make_an_error_of_the_brightness() {
        assert!(evaluated(Rung::NoPadding).rmse > 100.0, "root mean square of 1..250");
        assert!((evaluated(Rung::OneScaleNoPadding).rmse - 1.0).abs() < 1e-3);
        assert_eq!(evaluated(Rung::PerImage).rmse, 1.0);
    }

    #[test]
    fn zero_rows_give_any_uncertainty_a_large_gain() {
        let (padded, plain) = (evaluated(Rung::Released), evaluated(Rung::NoPadding));
        // Eleven images in twelve have no error: chance keeps sqrt(1 / 12) of it.
        assert!((padded.rmse - plain.rmse / 12.0_f64.sqrt()).abs() < 1e-9 * plain.rmse);
        assert!(padded.aurg > 0.85 * padded.rmse && padded.ause < 0.1 * padded.rmse);
        assert!(plain.aurg.abs() < 0.1 * plain.rmse && plain.ause > 0.3 * plain.rmse);
    }
}
