//! The rows that are summed together, packed for their products.

use super::BLOCK_ROWS;
use crate::error::Result;
use crate::features::Features;
use crate::gemm::{DEPTH, Panels, SHORT};
use crate::simd::{Kernel, vectorised};
use rayon::prelude::*;

/// Columns of a panel of the tall factor: two registers of AVX2.
pub(super) const TALL: usize = 8;

/// Up to [`BLOCK_ROWS`] rows in f64: columns by panels, once for each side of the product.
#[derive(Debug, Clone)]
pub(super) struct Block {
    dim: usize,
    rows: usize,
    tall: Panels<f64, TALL>,
    short: Panels<f64, SHORT>,
}

impl Block {
    pub(super) fn new(dim: usize) -> Self {
        let (tall, short) = (Panels::zeros(dim, BLOCK_ROWS), Panels::zeros(dim, BLOCK_ROWS));
        Self { dim, rows: 0, tall, short }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows that still fit.
    pub(super) fn room(&self) -> usize {
        BLOCK_ROWS - self.rows
    }

    pub(super) fn clear(&mut self) {
        self.rows = 0;
    }

    /// The columns as both factors of a product.
    pub(super) fn panels(&self) -> (&Panels<f64, TALL>, &Panels<f64, SHORT>) {
        (&self.tall, &self.short)
    }

    /// Appends the rows `indices`, of which there are at most [`Block::room`]. Rows before one with NaN or infinity stay.
    pub(super) fn extend(&mut self, features: Features<'_>, indices: &[usize]) -> Result<()> {
        let (at, dim) = (self.rows, self.dim);
        let finite = copy(features, indices, (at, dim), &mut self.tall);
        if !finite {
            let mut row = Vec::with_capacity(dim);
            for (done, &i) in indices.iter().enumerate() {
                row.clear();
                self.rows = at + done;
                features.append_row(i, "features", &mut row)?;
            }
        }
        copy(features, indices, (at, dim), &mut self.short);
        self.rows = at + indices.len();
        Ok(())
    }

    /// The sum of each column, in the order of the rows.
    pub(super) fn sums(&self) -> Vec<f64> {
        let sum = |panel: usize| {
            let mut sums = [0.0; TALL];
            for start in (0..self.rows).step_by(DEPTH) {
                let depth = DEPTH.min(self.rows - start);
                for entry in &self.tall.part(panel, start)[..depth] {
                    sums.iter_mut().zip(entry).for_each(|(sum, v)| *sum += v);
                }
            }
            sums
        };
        let panels: Vec<[f64; TALL]> = (0..self.tall.len()).into_par_iter().map(sum).collect();
        panels.as_flattened()[..self.dim].to_vec()
    }
}

/// Writes rows `indices` from row `at` of the block on, and tells whether all values are finite.
fn copy<const W: usize>(
    features: Features<'_>,
    indices: &[usize],
    (at, dim): (usize, usize),
    panels: &mut Panels<f64, W>,
) -> bool {
    let count = panels.len();
    let parts = panels.values_mut().par_chunks_mut(DEPTH).enumerate();
    parts
        .map(|(part, entries)| {
            let (first, panel) = (part / count * DEPTH, part % count);
            let from = first.max(at);
            let to = (first + DEPTH).min(at + indices.len());
            if from >= to {
                return true;
            }
            let columns = panel * W..dim.min((panel + 1) * W);
            let entries = &mut entries[from - first..to - first];
            let indices = &indices[from - at..to - at];
            match features {
                Features::F32(rows) => match rows.as_slice() {
                    Some(rows) => vectorised(Copy { rows, dim, indices, columns, entries }),
                    None => gather(|i, j| f64::from(rows[[i, j]]), indices, columns, entries),
                },
                Features::F64(rows) => match rows.as_slice() {
                    Some(rows) => vectorised(Copy { rows, dim, indices, columns, entries }),
                    None => gather(|i, j| rows[[i, j]], indices, columns, entries),
                },
            }
        })
        .reduce(|| true, |a, b| a && b)
}

/// Some columns of some rows that lie one after the other.
struct Copy<'a, T, const W: usize> {
    rows: &'a [T],
    dim: usize,
    indices: &'a [usize],
    columns: std::ops::Range<usize>,
    entries: &'a mut [[f64; W]],
}

impl<T: std::marker::Copy + Into<f64>, const W: usize> Kernel for Copy<'_, T, W> {
    type Output = bool;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn run(self) -> bool {
        let (first, width) = (self.columns.start, self.columns.len());
        // Zero times a number is zero, and NaN for what is no number.
        let mut probe = [0.0_f64; W];
        for (entry, &i) in self.entries.iter_mut().zip(self.indices) {
            let values = &self.rows[i * self.dim + first..][..width];
            if let Ok(values) = <&[T; W]>::try_from(values) {
                for lane in 0..W {
                    entry[lane] = values[lane].into();
                    probe[lane] += entry[lane] * 0.0;
                }
            } else {
                for ((entry, probe), &value) in entry.iter_mut().zip(&mut probe).zip(values) {
                    *entry = value.into();
                    *probe += *entry * 0.0;
                }
            }
        }
        !probe.iter().any(|p| p.is_nan())
    }
}

/// As [`Copy`], for any layout.
fn gather<const W: usize>(
    at: impl Fn(usize, usize) -> f64,
    indices: &[usize],
    columns: std::ops::Range<usize>,
    entries: &mut [[f64; W]],
) -> bool {
    let mut finite = true;
    for (entry, &i) in entries.iter_mut().zip(indices) {
        for (value, j) in entry.iter_mut().zip(columns.clone()) {
            *value = at(i, j);
            finite &= value.is_finite();
        }
    }
    finite
}
