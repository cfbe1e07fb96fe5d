//! Exact Fréchet distances of many subsets of one pool.

use super::poles::root_traces;
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

/// Fewest subsets, and smallest pool, for which shared resolvents are used: their cost does not grow with the number of
/// subsets but for a Cholesky factor of the size of what is dropped.
const WORTH_POLES: usize = 100;

/// See [`WORTH_POLES`].
const POLES_POOL: usize = 1536;

/// Shared resolvents pay if at most one row in this many is dropped.
const POLES_DROP: usize = 5;

/// Relative difference of both routes that is taken as rounding.
const AGREEMENT: f64 = 1e-10;

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

    /// The distances of many subsets of one size, each ascending.
    ///
    /// Where few rows of a Gram pool are dropped, the eigenvalues of each subset are spared by [`root_traces`]. One
    /// subset is always computed both ways; unless they agree to 1e-10 all are computed by their eigenvalues.
    pub(super) fn distances(&self, subsets: &[Vec<usize>]) -> Result<Vec<f64>> {
        let each = |kept: &Vec<usize>| self.distance(kept);
        let Some(first) = subsets.first() else { return Ok(Vec::new()) };
        if let Shared::Gram { rows, gram } = &self.shared
            && first.len() <= self.features.dim()
            && subsets.len() >= WORTH_POLES
            && self.n() >= POLES_POOL
            && POLES_DROP * (self.n() - first.len()) <= self.n()
        {
            let dropped: Vec<_> = subsets.iter().map(|kept| complement(kept, self.n())).collect();
            let roots = root_traces(gram, &dropped)?;
            let exact = self.distance(first)?;
            let by_roots = |(kept, root): (&Vec<usize>, &Option<f64>)| match root {
                Some(root) => {
                    Ok(self.distance_by_root(rows, kept, root / ((kept.len() - 1) as f64).sqrt()))
                }
                None => self.distance(kept),
            };
            let distances: Result<Vec<f64>> =
                subsets.par_iter().zip(&roots).with_max_len(1).map(by_roots).collect();
            let distances = distances?;
            if (distances[0] - exact).abs() <= AGREEMENT * exact {
                return Ok(distances);
            }
        }
        subsets.par_iter().with_max_len(1).map(each).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{SplitMix64, Subsets};
    use ndarray::Array2;

    #[test]
    fn shared_resolvents_give_the_sums_of_the_eigenvalues() {
        let (n, keep) = (120, 100);
        let mut stream = SplitMix64::keyed(7, 0);
        let rows = Array2::from_shape_fn((n, 150), |(_, j)| {
            stream.below(1000) as f64 / (1.0 + 0.1 * j as f64)
        });
        let rows = CentredRows::new(Features::from(&rows)).unwrap();
        let gram = Mat::from_fn(n, n, |i, j| {
            rows.row(i).iter().zip(rows.row(j)).map(|(a, b)| a * b).sum::<f64>()
        });
        let kept: Vec<Vec<usize>> = (0..5).map(|i| Subsets::new(1).draw(i, n, keep)).collect();
        let dropped: Vec<Vec<usize>> = kept.iter().map(|k| complement(k, n)).collect();
        for (kept, root) in kept.iter().zip(root_traces(&gram, &dropped).unwrap()) {
            let centred = centred_subgram(&gram, kept);
            let values = eigenvalues(centred.as_ref(), "a test").unwrap();
            // The smallest eigenvalue is that of the ones: zero.
            let exact: f64 = values[1..].iter().map(|v| v.sqrt()).sum();
            let root = root.unwrap();
            assert!((root - exact).abs() < 1e-9 * exact, "{root} {exact}");
        }
    }
}
