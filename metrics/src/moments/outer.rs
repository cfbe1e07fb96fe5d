//! Sums of outer products: the lower triangle of a symmetric matrix, in tiles.

use super::block::{Block, TALL};
use crate::compensated::{CompensatedSums, add_all};
use crate::gemm::{SHORT, Tile, multiply};
use rayon::prelude::*;

/// Rows and columns of a square of tiles: the least common multiple of both sides of a tile, four times. One task.
const SQUARE: usize = 96;

/// Panels of columns and of rows in a square.
const COLUMNS: usize = SQUARE / TALL;
const ROWS: usize = SQUARE / SHORT;

/// Entries of the tiles of a square beside each other.
const LINE: usize = COLUMNS * SHORT * TALL;

/// Entries of a square, in the order of its tiles.
const ENTRIES: usize = SQUARE * SQUARE;

/// The sum of `x x^T` over rows x, on and below the diagonal, in f64 with the rounding errors kept.
///
/// Squares on and below the diagonal follow each other row by row, so that one task adds to one stretch of memory.
#[derive(Debug, Clone)]
pub(super) struct OuterProducts {
    dim: usize,
    sums: CompensatedSums,
}

impl OuterProducts {
    pub(super) fn zeros(dim: usize) -> Self {
        let squares = dim.div_ceil(SQUARE);
        Self { dim, sums: CompensatedSums::zeros(squares * (squares + 1) / 2 * ENTRIES) }
    }

    /// Adds `sign` times other sums of the same dimension; `sign` is 1 or -1.
    pub(super) fn add_scaled(&mut self, other: &Self, sign: f64) {
        self.sums.add_scaled(&other.sums, sign);
    }

    /// Entry (i, j) with j <= i.
    pub(super) fn value(&self, i: usize, j: usize) -> f64 {
        let (square_row, square_column) = (i / SQUARE, j / SQUARE);
        let square = square_row * (square_row + 1) / 2 + square_column;
        let (row, column) = (i % SQUARE, j % SQUARE);
        let tile = row / SHORT * COLUMNS + column / TALL;
        let entry = row % SHORT * TALL + column % TALL;
        self.sums.value(square * ENTRIES + tile * SHORT * TALL + entry)
    }

    /// Adds the products of a block.
    pub(super) fn add(&mut self, block: &Block) {
        let (tall, short) = block.panels();
        debug_assert_eq!(tall.len(), self.dim.div_ceil(TALL));
        let (high, low) = self.sums.parts_mut();
        let squares = high.par_chunks_mut(ENTRIES).zip(low.par_chunks_mut(ENTRIES));
        squares.enumerate().with_max_len(1).for_each_init(
            || vec![Tile::<f64, TALL>::default(); COLUMNS * ROWS],
            |tiles, (square, (high, low))| {
                let (row, column) = position(square);
                let columns = column * COLUMNS..tall.len().min((column + 1) * COLUMNS);
                let rows = row * ROWS..short.len().min((row + 1) * ROWS);
                let width = columns.len();
                let tiles = &mut tiles[..width * rows.len()];
                // A tile that lies above the diagonal as a whole is not needed.
                let wanted = |column: usize, row: usize| (row + 1) * SHORT > column * TALL;
                multiply((tall, columns), (short, rows), block.rows(), wanted, tiles);
                let lines = high.chunks_exact_mut(LINE).zip(low.chunks_exact_mut(LINE));
                for ((high, low), tiles) in lines.zip(tiles.chunks_exact(width)) {
                    add_all(high, low, tiles.as_flattened().as_flattened());
                }
            },
        );
    }
}

/// Row and column of a square, by its place.
fn position(square: usize) -> (usize, usize) {
    let (mut row, mut first) = (0, 0);
    while first + row < square {
        row += 1;
        first += row;
    }
    (row, square - first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Features;
    use ndarray::Array2;

    #[test]
    fn squares_follow_each_other_row_by_row() {
        let positions: Vec<_> = (0..6).map(position).collect();
        assert_eq!(positions, [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]);
    }

    #[test]
    fn entries_are_those_of_the_plain_product_at_every_fringe() {
        for (n, dim) in [(3, 1), (300, 7), (1024, 95), (40, 97), (513, 203)] {
            // Small integers: every sum is exact.
            let rows =
                Array2::from_shape_fn((n, dim), |(i, j)| ((i * 7 + j * 5) % 13) as f32 - 6.0);
            let mut block = Block::new(dim);
            block.extend(Features::from(&rows), &(0..n).collect::<Vec<_>>()).unwrap();
            let mut sums = OuterProducts::zeros(dim);
            sums.add(&block);
            let plain = rows.t().dot(&rows);
            for i in 0..dim {
                for j in 0..=i {
                    assert_eq!(sums.value(i, j), f64::from(plain[[i, j]]), "{n} {dim}: {i} {j}");
                }
            }
        }
    }
}
