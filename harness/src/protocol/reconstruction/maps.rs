//! Errors, controls and areas, image by image.
//!
//! Errors are reconstruction minus truth, both in 0..255, element by element. Everything is computed image by image and
//! averaged, so every number has a standard error over images; pooled numbers stand beside.

use dubench_metrics::MetricError;
use dubench_metrics::sparsification::{Pool, Preset, SparsificationOptions, sparsification};
use ndarray::{Array2, Array3, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use crate::noise::{NoiseKey, Purpose, standard_normal};
use crate::units::SampleId;

/// Which way a map is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// High values are removed first.
    AsIs,
    /// Low values are removed first.
    Inverted,
}

impl Polarity {
    /// Name, as in files and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsIs => "as_is",
            Self::Inverted => "inverted",
        }
    }
}

/// What is ranked: every channel of every pixel, or pixels with their channels put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Error and uncertainty of each channel.
    Channel,
    /// Root mean square of the errors and sum of the uncertainties over channels.
    Pixel,
}

/// Images of an arm, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// Ground truth `[n, c h w]`.
    pub truth: ArrayView2<'a, u8>,
    /// Reconstructions `[n, c h w]`.
    pub reconstruction: ArrayView2<'a, u8>,
    /// `[c, h, w]`.
    pub shape: [usize; 3],
}

impl Images<'_> {
    /// Reconstruction minus truth, `[n, c h w]`, in grey levels.
    pub fn error(&self) -> Array2<f32> {
        let mut error = self.reconstruction.mapv(f32::from);
        error.zip_mut_with(&self.truth, |e, truth| *e -= f32::from(*truth));
        error
    }

    /// Variance (divisor: number of pixels) of the reconstruction over the 3 x 3 pixels around each, as far as they are
    /// inside the image, channel by channel.
    pub fn local_variance(&self) -> Array2<f32> {
        let [c, h, w] = self.shape;
        let mut out = Array2::zeros(self.reconstruction.raw_dim());
        for (mut row, image) in out.outer_iter_mut().zip(self.reconstruction.outer_iter()) {
            for (at, value) in row.iter_mut().enumerate() {
                let (channel, y, x) = (at / (h * w), at / w % h, at % w);
                let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
                for yy in y.saturating_sub(1)..(y + 2).min(h) {
                    for xx in x.saturating_sub(1)..(x + 2).min(w) {
                        let grey = f32::from(image[channel * h * w + yy * w + xx]);
                        (n, sum, squares) = (n + 1.0, sum + grey, squares + grey * grey);
                    }
                }
                *value = (squares / n - (sum / n) * (sum / n)).max(0.0);
            }
        }
        debug_assert_eq!(c * h * w, out.ncols(), "an image has c h w elements");
        out
    }

    /// Keyed standard normals in the place of an uncertainty: what chance does.
    pub fn chance(&self, seed: u64) -> Array2<f32> {
        let mut out = Array2::zeros(self.truth.raw_dim());
        for (sample, mut row) in (0_u64..).map(SampleId).zip(out.outer_iter_mut()) {
            let key = NoiseKey { seed, purpose: Purpose::Subset, sample, step: 0, draw: 0 };
            if let Some(values) = row.as_slice_mut() {
                standard_normal(key, values);
            }
        }
        out
    }

    /// The error per pixel: root mean square over channels, `[n, h w]`.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] for rows that are not images of this shape.
    pub fn pixel_error(&self, error: &Array2<f32>) -> Result<Array2<f32>, MetricError> {
        let [c, ..] = self.shape;
        Ok(self.over_channels(error, |e| e * e)?.mapv(|sum| (sum / c as f32).sqrt()))
    }

    /// A map per pixel: the sum over channels, `[n, h w]`.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] for rows that are not images of this shape.
    pub fn pixel_sum(&self, map: &Array2<f32>) -> Result<Array2<f32>, MetricError> {
        self.over_channels(map, |u| u)
    }

    fn over_channels(
        &self,
        values: &Array2<f32>,
        term: impl Fn(f32) -> f32,
    ) -> Result<Array2<f32>, MetricError> {
        let [c, h, w] = self.shape;
        let n = values.nrows();
        let got = values.ncols();
        let cube = Array3::from_shape_vec((n, c, h * w), values.iter().copied().collect());
        let cube = cube.map_err(|_| MetricError::LengthMismatch {
            what: "the elements of a map",
            got,
            expected: c * h * w,
        })?;
        Ok(cube.mapv(term).sum_axis(Axis(1)))
    }
}

/// AUSE, AURG, RMSE and curve of every image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageScores {
    /// Area between the method's curve and the oracle's, one an image.
    pub ause: Vec<f64>,
    /// Area between chance and the method's curve, one an image.
    pub aurg: Vec<f64>,
    /// Root mean squared error, one an image.
    pub rmse: Vec<f64>,
    /// RMSE of what is kept at each fraction removed, `[n, intervals + 1]`.
    pub curve: Array2<f64>,
    /// The same of the oracle.
    pub oracle: Array2<f64>,
}

/// Sparsification of each image by itself: exact areas, ties at their mean.
///
/// # Errors
/// [`MetricError`] for arrays of different shape or values that are not finite.
pub fn by_image(
    error: &Array2<f32>,
    uncertainty: &Array2<f32>,
    (polarity, intervals): (Polarity, usize),
) -> Result<ImageScores, MetricError> {
    let options = SparsificationOptions { pool: Pool::Image, preset: Preset::Exact, intervals };
    let uncertainty = turned(uncertainty, polarity);
    if uncertainty.dim() != error.dim() {
        return Err(MetricError::LengthMismatch {
            what: "the elements of an uncertainty",
            got: uncertainty.len(),
            expected: error.len(),
        });
    }
    let images: Vec<_> = (0..error.nrows())
        .into_par_iter()
        .map(|i| {
            let row = |all: &Array2<f32>| all.slice_axis(Axis(0), Slice::from(i..=i)).to_owned();
            sparsification(&row(error), &row(&uncertainty), &options)
        })
        .collect::<Result<_, _>>()?;
    let curves = |pick: fn(&dubench_metrics::sparsification::SparsificationCurve) -> &[f64]| {
        Array2::from_shape_fn((images.len(), intervals + 1), |(i, k)| pick(&images[i].curve)[k])
    };
    Ok(ImageScores {
        ause: images.iter().map(|image| image.ause).collect(),
        aurg: images.iter().map(|image| image.aurg).collect(),
        rmse: images.iter().map(|image| image.rmse).collect(),
        curve: curves(|curve| &curve.method),
        oracle: curves(|curve| &curve.oracle),
    })
}

/// The map, or its negative.
pub fn turned(map: &Array2<f32>, polarity: Polarity) -> Array2<f32> {
    match polarity {
        Polarity::AsIs => map.clone(),
        Polarity::Inverted => map.mapv(|u| -u),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> (Array2<u8>, Array2<u8>) {
        let value = |scale: usize| {
            move |(i, k): (usize, usize)| u8::try_from((i * 31 + k * scale) % 251).unwrap()
        };
        (Array2::from_shape_fn((3, 48), value(7)), Array2::from_shape_fn((3, 48), value(11)))
    }

    #[test]
    fn the_oracle_has_no_ause_and_areas_add_up_whatever_the_uncertainty() {
        let (truth, reconstruction) = images();
        let shape = [3, 4, 4];
        let images = Images { truth: truth.view(), reconstruction: reconstruction.view(), shape };
        let error = images.error();
        let score = |u: &Array2<f32>, polarity| by_image(&error, u, (polarity, 10)).unwrap();
        let oracle = score(&error.mapv(f32::abs), Polarity::AsIs);
        assert!(oracle.ause.iter().all(|ause| ause.abs() < 1e-12));
        let random = images.chance(3);
        for polarity in [Polarity::AsIs, Polarity::Inverted] {
            let got = score(&random, polarity);
            for i in 0..3 {
                let sum = got.ause[i] + got.aurg[i];
                assert!((sum - oracle.ause[i] - oracle.aurg[i]).abs() < 1e-9);
                assert!(got.ause[i] > 0.0);
            }
        }
        let flat = score(&Array2::from_elem(error.raw_dim(), 2.0), Polarity::AsIs);
        assert!(flat.aurg.iter().all(|aurg| aurg.abs() < 1e-12));
    }

    #[test]
    fn a_worst_uncertainty_turned_is_the_oracle() {
        let (truth, reconstruction) = images();
        let images =
            Images { truth: truth.view(), reconstruction: reconstruction.view(), shape: [3, 4, 4] };
        let error = images.error();
        let backwards = error.mapv(|e| -e.abs());
        let got = by_image(&error, &backwards, (Polarity::Inverted, 10)).unwrap();
        assert!(got.ause.iter().all(|ause| ause.abs() < 1e-12));
    }

    #[test]
    fn pixels_put_their_channels_together() {
        let truth = Array2::zeros((1, 6));
        let reconstruction = ndarray::array![[3_u8, 0, 4, 0, 0, 12]];
        let images =
            Images { truth: truth.view(), reconstruction: reconstruction.view(), shape: [3, 1, 2] };
        let error = images.pixel_error(&images.error()).unwrap();
        let expected = [(25.0_f32 / 3.0).sqrt(), (144.0_f32 / 3.0).sqrt()];
        assert!(error.iter().zip(expected).all(|(got, expected)| (got - expected).abs() < 1e-6));
        assert_eq!(images.pixel_sum(&images.error()).unwrap(), ndarray::array![[7.0, 12.0]]);
    }

    #[test]
    fn local_variance_is_that_of_the_neighbours_inside_the_image() {
        let truth = Array2::zeros((1, 4));
        let reconstruction = ndarray::array![[0_u8, 4, 0, 0]];
        let images =
            Images { truth: truth.view(), reconstruction: reconstruction.view(), shape: [1, 2, 2] };
        // All four pixels are neighbours of each: mean 1, squares 16 / 4.
        assert_eq!(images.local_variance(), ndarray::array![[3.0, 3.0, 3.0, 3.0]]);
        let one = ndarray::array![[9_u8, 9, 9, 1]];
        let wide = Images { truth: truth.view(), reconstruction: one.view(), shape: [1, 1, 4] };
        assert_eq!(wide.local_variance()[[0, 0]], 0.0);
        assert!(wide.local_variance()[[0, 3]] > 0.0);
    }
}
