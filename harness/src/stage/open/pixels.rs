//! Features without a network: means of pixel blocks. For tests of the pipeline, and for nothing else.

use ndarray::{Array2, ArrayView4};

use crate::model::{ExtractorId, FeatureExtractor, ModelError};

/// `grid x grid` block means of each of three channels, scaled to [0, 1].
#[derive(Clone, Debug)]
pub struct PixelFeatures {
    grid: usize,
    id: ExtractorId,
}

impl PixelFeatures {
    /// Features of `3 grid^2` dimensions.
    pub fn new(grid: usize) -> Self {
        let id = ExtractorId {
            name: "pixels".to_owned(),
            // There is no network file; the rule is its own identity.
            sha256: crate::canonical::sha256_hex(b"pixel block means"),
            preprocess: format!("grid-{grid}"),
            dim: 3 * grid * grid,
            output: None,
            input_size: None,
        };
        Self { grid, id }
    }
}

impl FeatureExtractor for PixelFeatures {
    fn id(&self) -> &ExtractorId {
        &self.id
    }

    fn extract(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        let (n, c, h, w) = images.dim();
        let grid = self.grid;
        if c != 3 || h < grid || w < grid {
            return Err(ModelError::Shape {
                model: self.id.name.clone(),
                input: "images",
                got: vec![n, c, h, w],
                expected: vec![n, 3, grid.max(h), grid.max(w)],
            });
        }
        let edge = |block: usize, side: usize| block * side / grid;
        Ok(Array2::from_shape_fn((n, self.id.dim), |(row, feature)| {
            let (channel, block) = (feature / (grid * grid), feature % (grid * grid));
            let (by, bx) = (block / grid, block % grid);
            let rows = edge(by, h)..edge(by + 1, h);
            let columns = edge(bx, w)..edge(bx + 1, w);
            let count = (rows.len() * columns.len()) as f32;
            let mut sum: u32 = 0;
            for y in rows {
                for x in columns.clone() {
                    sum += u32::from(images[[row, channel, y, x]]);
                }
            }
            sum as f32 / (255.0 * count)
        }))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn a_block_of_white_is_one_and_of_black_is_zero() {
        let images =
            Array4::from_shape_fn(
                (1, 3, 4, 4),
                |(_, c, y, x)| {
                    if c == 1 && y < 2 && x >= 2 { 255 } else { 0 }
                },
            );
        let features = PixelFeatures::new(2).extract(images.view()).unwrap();
        let expected = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(features.row(0).to_vec(), expected);
    }

    #[test]
    fn images_smaller_than_the_grid_are_refused() {
        let images = Array4::zeros((2, 3, 1, 4));
        let error = PixelFeatures::new(2).extract(images.view()).unwrap_err();
        assert!(matches!(error, ModelError::Shape { .. }));
    }
}
