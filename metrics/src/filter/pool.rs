//! Exact Fréchet distances of many subsets of one pool.

use crate::error::Result;
use crate::features::Features;
use crate::frechet::{CentredRows, Reference};
use crate::linalg::{eigenvalues, gram_lower, product};
use crate::moments::Moments;
use crate::rng::complement;
use faer::Mat;
use rayon::prelude::*;

/// Pools up to this many times the number of features keep their Gram matrix.
const GRAM_POOL: usize = 2;

/// What is computed once for all subsets.
#[derive(Debug)]
pub(super) enum Shared {
    /// `Xc S_r Xc^T` `[n, n]`, from which a subset of at most d rows needs only a `k x k` eigenproblem.
    Gram { rows: CentredRows, gram: Mat<f64> },
    /// The moments of the whole pool, from which the dropped rows are taken out.
    Moments(Box<Moments>),
}

/// A pool of samples and their reference.
#[derive(Debug)]
pub(super) struct Pool<'a> {
    pub(super) reference: &'a Reference,
    pub(super) features: Features<'a>,
    shared: Shared,
}

impl<'a> Pool<'a> {
    pub(super) fn new(reference: &'a Reference, features: Features<'a>) -> Result<Self> {
        let shared = if features.n() <= GRAM_POOL * features.dim() {
            let rows = CentredRows::new(features)?;
            let projected = product(reference.factor().transpose(), rows.matrix().transpose());
            let mut gram = gram_lower(projected.as_ref());
            for j in 1..gram.ncols() {
                for i in 0..j {
                    gram[(i, j)] = gram[(j, i)];
                }
            }
            Shared::Gram { rows, gram }
        } else {
            Shared::Moments(Box::new(Moments::from_rows(features)?))
        };
        Ok(Self { reference, features, shared })
    }

    pub(super) fn n(&self) -> usize {
        self.features.n()
    }

    /// The distance of the rows `kept`, ascending, at least two.
    pub(super) fn distance(&self, kept: &[usize]) -> Result<f64> {
        match &self.shared {
            Shared::Gram { rows, gram } if kept.len() <= self.features.dim() => {
                self.distance_by_gram(rows, gram, kept)
            }
            Shared::Moments(whole) if 2 * kept.len() > self.n() => {
                let mut moments = whole.as_ref().clone();
                let dropped = complement(kept, self.n());
                moments.remove(&Moments::from_selected(self.features, &dropped)?)?;
                self.reference.distance(&moments.gaussian()?)
            }
            _ => self.reference.distance_to_selected(self.features, kept),
        }
    }

    /// The distances of many subsets, each ascending, in their order.
    pub(super) fn distances(&self, subsets: &[Vec<usize>]) -> Result<Vec<f64>> {
        subsets.par_iter().with_max_len(1).map(|kept| self.distance(kept)).collect()
    }

    fn distance_by_gram(&self, rows: &CentredRows, gram: &Mat<f64>, kept: &[usize]) -> Result<f64> {
        let centred = centred_subgram(gram, kept);
        let values = eigenvalues(centred.as_ref(), "the samples' Gram matrix")?;
        let root = self.reference.gram_root_trace(&values, kept.len())?;
        Ok(self.distance_by_root(rows, kept, root))
    }

    /// The distance, given `tr (S_r S)^(1/2)`.
    fn distance_by_root(&self, rows: &CentredRows, kept: &[usize], root: f64) -> f64 {
        let k = kept.len();
        let mut mean = vec![0.0; self.features.dim()];
        let mut squares = 0.0;
        for &i in kept {
            for (m, v) in mean.iter_mut().zip(rows.row(i)) {
                *m += v;
                squares += v * v;
            }
        }
        // Rows are centred on the pool, so this difference loses nothing.
        let sum_squared: f64 = mean.iter().map(|m| m * m).sum();
        let total_variance = (squares - sum_squared / k as f64) / (k - 1) as f64;
        mean.iter_mut().zip(rows.mean()).for_each(|(m, pool)| *m = *m / k as f64 + pool);
        self.reference.assemble_terms(&mean, total_variance, root)
    }
}

/// The lower triangle of `H K H` for the rows and columns `kept`, with `H = 1 - 11^T / k`.
fn centred_subgram(gram: &Mat<f64>, kept: &[usize]) -> Mat<f64> {
    let k = kept.len();
    let mut centred = Mat::<f64>::zeros(k, k);
    let mut means = vec![0.0; k];
    for (j, &column) in kept.iter().enumerate() {
        for (i, &row) in kept.iter().enumerate() {
            centred[(i, j)] = gram[(row, column)];
            means[j] += gram[(row, column)];
        }
        means[j] /= k as f64;
    }
    let grand = means.iter().sum::<f64>() / k as f64;
    for j in 0..k {
        for i in j..k {
            centred[(i, j)] += grand - means[i] - means[j];
        }
    }
    centred
}
