//! A sample that fits into memory, less its mean.

use faer::MatRef;

use crate::error::Result;
use crate::features::Features;
use crate::linalg::row_major;

/// All rows of a small sample, less their mean, row-major.
#[derive(Debug)]
pub(crate) struct CentredRows {
    mean: Vec<f64>,
    rows: Vec<f64>,
}

impl CentredRows {
    pub(crate) fn new(features: Features<'_>) -> Result<Self> {
        let (n, dim) = (features.n(), features.dim());
        let mut rows = features.gather(0..n, "features")?;
        let mut mean = vec![0.0; dim];
        for row in rows.chunks_exact(dim) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
        for row in rows.chunks_exact_mut(dim) {
            row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m);
        }
        Ok(Self { mean, rows })
    }

    pub(crate) fn n(&self) -> usize {
        self.rows.len() / self.mean.len()
    }

    pub(crate) fn mean(&self) -> &[f64] {
        &self.mean
    }

    pub(crate) fn get(&self, i: usize, j: usize) -> f64 {
        self.rows[i * self.mean.len() + j]
    }

    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.rows[i * self.mean.len()..(i + 1) * self.mean.len()]
    }

    pub(crate) fn matrix(&self) -> MatRef<'_, f64> {
        row_major(&self.rows, self.n(), self.mean.len())
    }

    pub(crate) fn total_variance(&self) -> f64 {
        self.rows.iter().map(|v| v * v).sum::<f64>() / (self.n() - 1) as f64
    }
}
