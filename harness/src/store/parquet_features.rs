//! Features that people keep in Parquet: our own parts, columns of floats, or one column of lists.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use ndarray::Array2;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::arrays::Matrix;
use super::columns::Rows;
use super::digest::f32_values;
use super::guard::guarded;
use super::manifest::Manifest;
use super::parquet_files::ParquetFiles;
use super::parquet_form::{Form, Place};
use super::{StoreError, sidecar};
use crate::extractor_id::ExtractorId;

/// Rows of one read.
const BATCH_ROWS: usize = 1 << 10;

/// Features of a set of Parquet files.
#[derive(Clone, Debug)]
pub(crate) struct ParquetFeatures {
    /// One row an image, in the order of files and rows.
    pub(crate) rows: Matrix,
    /// Network and preprocessing, where a manifest of ours says.
    pub(crate) extractor: Option<ExtractorId>,
    /// Files and columns that were left out.
    pub(crate) notes: Vec<String>,
}

/// Rows as they come.
#[derive(Default)]
struct Gathered {
    /// f32, which values read as f16 or f32 are: nothing is rounded, and half of the memory is enough.
    narrow: Vec<f32>,
    wide: Vec<f64>,
    n: usize,
    dim: Option<usize>,
    blocks: BTreeSet<u64>,
    samples: BTreeSet<u64>,
}

impl ParquetFeatures {
    /// Reads features `[n, d]` of all files. A hash beside a file is checked.
    ///
    /// # Errors
    /// [`StoreError::Input`] for columns that are no features, for files that differ in them, for parts of several arms or
    /// with gaps; [`StoreError::Broken`] and [`StoreError::Damaged`] for damage; [`StoreError::Read`].
    pub(crate) fn read(found: &ParquetFiles) -> Result<Self, StoreError> {
        let mut gathered = Gathered::default();
        let mut first: Option<(&Path, Form)> = None;
        for path in &found.files {
            if sidecar::sidecar_path(path).exists() {
                sidecar::require(path)?;
            }
            let expected = first.as_ref().map(|(path, form)| (*path, form));
            let form = guarded(path, || gathered.add(path, expected)).map_err(as_of_others)?;
            first.get_or_insert((path, form));
        }
        let Some((path, form)) = first else {
            return Err(StoreError::input(Path::new("-"), "there is no Parquet file"));
        };
        gathered.check(path)?;
        let mut notes = found.notes();
        if !form.left_out.is_empty() {
            notes.push(format!(
                "columns that are no features left out: {}",
                form.left_out.join(", ")
            ));
        }
        let extractor = match form.place {
            Place::Part { dim, .. } => extractor_beside(path, dim)?,
            Place::Columns(_) | Place::Lists(_) => None,
        };
        Ok(Self { rows: gathered.matrix(path, form.wide)?, extractor, notes })
    }
}

/// What the manifest beside parts of ours says of their network.
fn extractor_beside(part: &Path, dim: usize) -> Result<Option<ExtractorId>, StoreError> {
    let path = part.with_file_name("manifest.json");
    if !path.is_file() {
        return Ok(None);
    }
    let mut fixed = Manifest::read(&path)?.fixed;
    let (Some(name), Some(sha256), Some(preprocess)) =
        (fixed.remove("extractor"), fixed.remove("extractor sha256"), fixed.remove("preprocess"))
    else {
        return Ok(None);
    };
    let input_size = fixed.remove("input size").and_then(|size| size.parse().ok());
    let output = fixed.remove("output");
    Ok(Some(ExtractorId { name, sha256, preprocess, dim, output, input_size }))
}

/// Damage of a file that is not ours.
fn as_of_others(error: StoreError) -> StoreError {
    match error {
        StoreError::Malformed { path, message } => StoreError::Broken { path, message },
        other => other,
    }
}

impl Gathered {
    /// Adds the rows of a file whose columns are those of the `expected` one.
    fn add(&mut self, path: &Path, expected: Option<(&Path, &Form)>) -> Result<Form, StoreError> {
        let fail = StoreError::decode(path);
        let file = File::open(path).map_err(StoreError::read(path))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&fail)?;
        let form = Form::of(path, &builder)?;
        self.blocks.extend(form.block);
        if let Some((first, expected)) = expected.filter(|(_, expected)| !expected.agrees(&form)) {
            let message = format!(
                "its features are {}, those of {} {}: give files of one table, or of one run",
                form.describe(),
                first.display(),
                expected.describe()
            );
            return Err(StoreError::input(path, message));
        }
        for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(&fail)? {
            self.take(path, &form, &batch.map_err(StoreError::decode(path))?)?;
        }
        Ok(form)
    }

    fn take(&mut self, path: &Path, form: &Form, batch: &RecordBatch) -> Result<(), StoreError> {
        let rows = Rows { path, batch };
        match &form.place {
            Place::Part { dim, .. } => {
                for sample in rows.u64("sample_id")? {
                    if !self.samples.insert(sample) {
                        let message = format!(
                            "sample {sample} stands in an earlier part too: the folder holds several arms of a run; copy the parts of one arm to a folder of their own"
                        );
                        return Err(StoreError::input(path, message));
                    }
                }
                let values = f32_values(&rows.bytes("feature", 4 * dim)?);
                self.rows(path, (*dim, false), values.into_iter().map(f64::from))
            }
            Place::Columns(names) => {
                let columns = names
                    .iter()
                    .map(|name| floats(path, name, column(path, batch, name)?))
                    .collect::<Result<Vec<_>, _>>()?;
                let by_row =
                    (0..batch.num_rows()).flat_map(|row| columns.iter().map(move |c| c[row]));
                self.rows(path, (names.len(), form.wide), by_row)
            }
            Place::Lists(name) => self.lists(path, (name, form.wide), column(path, batch, name)?),
        }
    }

    fn lists(
        &mut self,
        path: &Path,
        (name, wide): (&str, bool),
        column: &ArrayRef,
    ) -> Result<(), StoreError> {
        if column.null_count() > 0 {
            return Err(gaps(path, name, column.null_count()));
        }
        for row in 0..column.len() {
            let list = match column.data_type() {
                DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
                DataType::LargeList(_) => column.as_list::<i64>().value(row),
                _ => column.as_list::<i32>().value(row),
            };
            let values = floats(path, name, &list)?;
            self.rows(path, (values.len(), wide), values.into_iter())?;
        }
        Ok(())
    }

    /// Adds rows of `dim` values.
    fn rows(
        &mut self,
        path: &Path,
        (dim, wide): (usize, bool),
        values: impl Iterator<Item = f64>,
    ) -> Result<(), StoreError> {
        let expected = *self.dim.get_or_insert(dim);
        if dim != expected || dim == 0 {
            let message = format!(
                "row {} has {dim} features, the first row {expected}: all rows must have the same number, which is not 0",
                self.n
            );
            return Err(StoreError::input(path, message));
        }
        if wide {
            self.wide.extend(values);
        } else {
            self.narrow.extend(values.map(narrowed));
        }
        self.n = self.wide.len().max(self.narrow.len()) / dim;
        Ok(())
    }

    /// Refuses a set without rows, and parts of ours with a gap between them.
    fn check(&self, path: &Path) -> Result<(), StoreError> {
        if self.n == 0 {
            return Err(StoreError::input(path, "it has no rows: there is nothing to compute of"));
        }
        let (Some(first), Some(last)) = (self.blocks.first(), self.blocks.last()) else {
            return Ok(());
        };
        let missing: Vec<String> =
            (*first..*last).filter(|b| !self.blocks.contains(b)).map(|b| b.to_string()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "blocks {} are missing between {first} and {last}: finish the run (`dubench features`), or copy them here",
            missing.join(", ")
        );
        Err(StoreError::input(path.parent().unwrap_or(path), message))
    }

    fn matrix(self, path: &Path, wide: bool) -> Result<Matrix, StoreError> {
        let shape = (self.n, self.dim.unwrap_or(0));
        let fail = StoreError::decode(path);
        Ok(if wide {
            Matrix::F64(Array2::from_shape_vec(shape, self.wide).map_err(fail)?)
        } else {
            Matrix::F32(Array2::from_shape_vec(shape, self.narrow).map_err(fail)?)
        })
    }
}

/// An f64 that was an f16 or an f32.
#[expect(clippy::cast_possible_truncation, reason = "it was read as one, so nothing is lost")]
fn narrowed(value: f64) -> f32 {
    value as f32
}

fn column<'a>(path: &Path, batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, StoreError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| StoreError::malformed(path, format!("column {name:?} is missing")))
}

/// Values of a column or of a list.
fn floats(path: &Path, name: &str, array: &ArrayRef) -> Result<Vec<f64>, StoreError> {
    if array.null_count() > 0 {
        return Err(gaps(path, name, array.null_count()));
    }
    Ok(match array.data_type() {
        DataType::Float16 => {
            array.as_primitive::<Float16Type>().values().iter().map(|v| v.to_f64()).collect()
        }
        DataType::Float32 => {
            array.as_primitive::<Float32Type>().values().iter().map(|v| f64::from(*v)).collect()
        }
        _ => array.as_primitive::<Float64Type>().values().to_vec(),
    })
}

fn gaps(path: &Path, name: &str, n: usize) -> StoreError {
    let message = format!("column {name:?} has {n} nulls: drop these rows, or fill them");
    StoreError::input(path, message)
}
