//! What the axes of errors and uncertainties mean.

use crate::cli::arguments::SparsificationOptions;
use crate::cli::error::CliError;
use crate::store::StoreError;
use crate::store::arrays::{Loaded, Matrix, load};

/// Errors and uncertainties, `[images, pixels]` both.
pub(super) struct Maps {
    pub(super) error: Matrix,
    pub(super) uncertainty: Matrix,
}

/// Reads both arrays; their shapes are equal, but for axes of length one behind the first.
pub(super) fn read(options: &SparsificationOptions) -> Result<Maps, CliError> {
    let error = load(&options.error, &["error", "errors", "arr_0"])?;
    let uncertainty = load(&options.uncertainty, &["uncertainty", "arr_0"])?;
    let (ours, theirs) = (&error.header.shape, &uncertainty.header.shape);
    if long_axes(ours) != long_axes(theirs) {
        return Err(CliError::Mismatch(format!(
            "{} has shape {ours:?}, {} {theirs:?}: both must be of the same pixels in the same order; transpose one of them, or take the mean over channels",
            options.error.display(),
            options.uncertainty.display()
        )));
    }
    let one_image = one_image(ours, theirs, options)?;
    let rows = |path, loaded: Loaded| -> Result<Matrix, CliError> {
        let rows = loaded.into_rows().map_err(|error| StoreError::input(path, error))?;
        Ok(if one_image {
            flat(rows).map_err(|error| StoreError::input(path, error))?
        } else {
            rows
        })
    };
    let maps = Maps {
        error: rows(&options.error, error)?,
        uncertainty: rows(&options.uncertainty, uncertainty)?,
    };
    if maps.error.dim() == 1 && options.pool == "image" {
        return Err(CliError::Mismatch(format!(
            "{} has one pixel an image, which cannot be ranked within it: rank all together by --pool all",
            options.error.display()
        )));
    }
    Ok(maps)
}

/// Shape without the axes of length one, but for the first axis.
fn long_axes(shape: &[usize]) -> Vec<usize> {
    let first = shape.first().copied();
    first.into_iter().chain(shape.iter().skip(1).copied().filter(|axis| *axis != 1)).collect()
}

/// Whether all values are pixels of one image.
fn one_image(
    ours: &[usize],
    theirs: &[usize],
    options: &SparsificationOptions,
) -> Result<bool, CliError> {
    // Of [n, p] beside [n, 1, p] the longer one says what is meant.
    let axes = ours.len().max(theirs.len());
    match (options.layout.as_deref(), axes) {
        (None | Some("rows" | "map"), 0) => Err(CliError::Mismatch(
            "a single number has no ranking: give arrays of pixels".to_owned(),
        )),
        (None | Some("rows" | "map"), 1) | (Some("map"), 2) => Ok(true),
        (None, 2) => Err(CliError::Mismatch(format!(
            "{} has shape {ours:?}: say --layout map for one image of {} x {} pixels, or --layout rows for {} images of {} pixels",
            options.error.display(),
            ours[0],
            ours.get(1).unwrap_or(&1),
            ours[0],
            ours.get(1).unwrap_or(&1)
        ))),
        (None | Some("rows"), _) => Ok(false),
        (Some("map"), _) => Err(CliError::Mismatch(format!(
            "{} has shape {ours:?}: --layout map is for two axes; with more, the first is the image",
            options.error.display()
        ))),
        (Some(other), _) => Err(CliError::option("--layout", other, "rows or map")),
    }
}

fn flat(rows: Matrix) -> Result<Matrix, ndarray::ShapeError> {
    let n = rows.n() * rows.dim();
    Ok(match rows {
        Matrix::F32(rows) => Matrix::F32(rows.into_shape_with_order((1, n))?),
        Matrix::F64(rows) => Matrix::F64(rows.into_shape_with_order((1, n))?),
    })
}
