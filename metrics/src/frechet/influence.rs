//! What each image does to a Fréchet distance.

use super::centred_rows::CentredRows;
use super::reference::{Reference, Spectrum};
use crate::error::Result;
use crate::features::Features;
use crate::gaussian::Gaussian;
use crate::linalg::{eigen, gram_lower, product, row_major};
use faer::Mat;
use rayon::prelude::*;

/// Eigenvalues below this part of the largest are null directions: their root is rounding noise.
const NULL_DIRECTION: f64 = 1e-14;

/// Rows of one block of influences.
const BLOCK: usize = 1024;

/// Singular values of `S_r^(1/2) S^(1/2)` and the quadratic forms that the error bars need.
#[derive(Debug)]
pub(super) struct Transport {
    /// `lambda_i > 0`: roots of the eigenvalues of `S_r^(1/2) S S_r^(1/2)`.
    pub(super) lambda: Vec<f64>,
    /// `B = F Q lambda^(-1/2)` `[d, r]`, with `T = B B^T` the optimal transport map.
    pub(super) map: Mat<f64>,
}

impl Transport {
    pub(super) fn new(reference: &Reference, spectrum: &Spectrum, rank: usize) -> Self {
        let values = &spectrum.values;
        let largest = values.last().copied().unwrap_or(0.0);
        let first = values.len().saturating_sub(rank);
        let kept: Vec<usize> =
            (first..values.len()).filter(|&j| values[j] > NULL_DIRECTION * largest).collect();
        let lambda: Vec<f64> = kept.iter().map(|&j| values[j].sqrt()).collect();
        let scaled = Mat::from_fn(spectrum.vectors.nrows(), kept.len(), |i, j| {
            spectrum.vectors[(i, kept[j])] / lambda[j].sqrt()
        });
        Self { lambda, map: product(reference.factor.as_ref(), scaled.as_ref()) }
    }

    /// `phi(x) = 2 delta.(x - mu) + |x - mu|^2 - (x - mu)^T T (x - mu)`, less its mean, for every row.
    pub(super) fn influence(
        &self,
        reference: &Reference,
        sample: &Gaussian,
        features: Features<'_>,
    ) -> Result<Vec<f64>> {
        let (n, dim) = (features.n(), features.dim());
        let mean = sample.mean();
        let delta: Vec<f64> =
            mean.iter().zip(reference.gaussian().mean()).map(|(m, r)| m - r).collect();
        let starts: Vec<usize> = (0..n).step_by(BLOCK).collect();
        let blocks: Result<Vec<Vec<f64>>> = starts
            .par_iter()
            .map(|&start| {
                let end = n.min(start + BLOCK);
                let mut rows = features.gather(start..end, "features")?;
                for row in rows.chunks_exact_mut(dim) {
                    row.iter_mut().zip(mean).for_each(|(v, m)| *v -= m);
                }
                let moved = product(row_major(&rows, end - start, dim), self.map.as_ref());
                let transported = row_norms(&moved);
                Ok(rows
                    .chunks_exact(dim)
                    .zip(transported)
                    .map(|(row, t)| 2.0 * dot(row, &delta) + dot(row, row) - t)
                    .collect())
            })
            .collect();
        Ok(centred(blocks?.concat()))
    }
}

/// The same from the Gram matrix of no more samples than features.
///
/// `(x_i - mu)^T T (x_i - mu) = (n - 1) sum_j lambda_j P_ij^2`, with P the eigenvectors of `Xc S_r Xc^T`.
#[derive(Debug)]
pub(super) struct ThinTransport {
    pub(super) lambda: Vec<f64>,
    pub(super) influence: Vec<f64>,
    /// `B = F Q lambda^(-1/2)`, from the left singular vectors: `S_r Xc^T P / (lambda^(3/2) sqrt(n - 1))`.
    pub(super) map: Mat<f64>,
    /// All eigenvalues, ascending.
    pub(super) values: Vec<f64>,
}

impl ThinTransport {
    pub(super) fn new(reference: &Reference, rows: &CentredRows) -> Result<Self> {
        let n = rows.n();
        let projected = product(reference.factor.transpose(), rows.matrix().transpose());
        let gram = gram_lower(projected.as_ref());
        let (values, vectors) = eigen(gram.as_ref(), "the samples' Gram matrix")?;
        let largest = values.last().copied().unwrap_or(0.0);
        let first = n - (n - 1).min(reference.gaussian().rank_bound());
        let kept: Vec<usize> =
            (first..n).filter(|&j| values[j] > NULL_DIRECTION * largest).collect();
        let scale = (n - 1) as f64;
        let lambda: Vec<f64> = kept.iter().map(|&j| (values[j] / scale).sqrt()).collect();
        let delta: Vec<f64> =
            rows.mean().iter().zip(reference.gaussian().mean()).map(|(m, r)| m - r).collect();
        let influence = (0..n)
            .map(|i| {
                let transported: f64 = kept
                    .iter()
                    .zip(&lambda)
                    .map(|(&j, l)| l * vectors[(i, j)] * vectors[(i, j)])
                    .sum();
                let row = rows.row(i);
                2.0 * dot(row, &delta) + dot(row, row) - scale * transported
            })
            .collect();
        let weights = Mat::from_fn(n, kept.len(), |i, j| {
            vectors[(i, kept[j])] / (lambda[j].powf(1.5) * scale.sqrt())
        });
        let pulled = product(projected.as_ref(), weights.as_ref());
        let map = product(reference.factor.as_ref(), pulled.as_ref());
        Ok(Self { lambda, influence: centred(influence), map, values })
    }
}

fn row_norms(matrix: &Mat<f64>) -> Vec<f64> {
    let mut norms = vec![0.0; matrix.nrows()];
    for column in matrix.col_iter() {
        norms.iter_mut().zip(column.iter()).for_each(|(sum, v)| *sum += v * v);
    }
    norms
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn centred(mut values: Vec<f64>) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|v| *v -= mean);
    values
}
