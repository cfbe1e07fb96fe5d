//! Encoded images in Parquet, as data sets on Hugging Face have them: a column `image` of `{bytes, path}`, or of bytes, and a
//! column of whole numbers beside it for their classes.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::StoreError;
use super::envelope::KEY;
use super::guard::guarded;
use super::parquet_files::ParquetFiles;
use super::parquet_form::{described, refuse_compression};

/// Rows of one read.
const BATCH_ROWS: usize = 32;

/// Names of the column of classes, the first that there is.
const CLASS_COLUMNS: [&str; 4] = ["label", "labels", "fine_label", "class"];

/// Images of a set of Parquet files, in the order of files and rows.
pub(crate) struct PictureTable {
    files: Vec<TableFile>,
    column: Column,
    classes: Option<String>,
    at: Option<Cursor>,
    notes: Vec<String>,
}

struct TableFile {
    path: PathBuf,
    /// Place of its first row in the set.
    start: usize,
    /// Rows of its groups.
    groups: Vec<usize>,
}

/// Where the bytes of an image stand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    /// Whether they are the field `bytes` of a record.
    in_record: bool,
}

/// Rows that are under way.
struct Cursor {
    reader: ParquetRecordBatchReader,
    batch: RecordBatch,
    /// Next row of the batch, and of the set.
    row: usize,
    next: usize,
}

impl PictureTable {
    /// Opens the files. Their rows are read as they are asked for, fastest in order.
    ///
    /// # Errors
    /// [`StoreError::Input`] for files without a column of images, for several such columns, for files that differ and for
    /// compressions that are not read; [`StoreError::Broken`] for damage.
    pub(crate) fn open(found: &ParquetFiles) -> Result<Self, StoreError> {
        let mut files = Vec::with_capacity(found.files.len());
        let mut first: Option<(Column, Option<String>)> = None;
        let mut start = 0;
        for path in &found.files {
            let builder = builder(path)?;
            if is_ours(&builder) {
                let message = "it is a part of a run of this program, whose pixels are not encoded: give images";
                return Err(StoreError::input(path, message));
            }
            refuse_compression(path, &builder)?;
            let form = (image_column(path, builder.schema())?, class_column(builder.schema()));
            if first.as_ref().is_some_and(|first| *first != form) {
                let message = format!(
                    "its images or classes stand in other columns than those of {}: give files of one table",
                    found.files[0].display()
                );
                return Err(StoreError::input(path, message));
            }
            first = Some(form);
            let groups = builder.metadata().row_groups().iter();
            let groups: Vec<usize> =
                groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).collect();
            let n: usize = groups.iter().sum();
            files.push(TableFile { path: path.clone(), start, groups });
            start += n;
        }
        let Some((column, classes)) = first else {
            return Err(StoreError::input(Path::new("-"), "there is no Parquet file"));
        };
        Ok(Self { files, column, classes, at: None, notes: found.notes() })
    }

    /// Whether the first of the files has a column of images, and is no table of features.
    pub(crate) fn holds_images(found: &ParquetFiles) -> bool {
        let Some(path) = found.files.first() else { return false };
        builder(path)
            .is_ok_and(|builder| !is_ours(&builder) && image_column(path, builder.schema()).is_ok())
    }

    /// Number of images.
    pub(crate) fn len(&self) -> usize {
        self.files.last().map_or(0, |file| file.start + file.groups.iter().sum::<usize>())
    }

    /// File of an image and its row there.
    pub(crate) fn place(&self, index: usize) -> (&Path, usize) {
        let file = self.file(index);
        (&file.path, index - file.start)
    }

    /// Files that were left out.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    fn file(&self, index: usize) -> &TableFile {
        let after = self.files.partition_point(|file| file.start <= index);
        &self.files[after.saturating_sub(1)]
    }

    /// Bytes of image `index`; `None` where the row holds none.
    ///
    /// # Errors
    /// [`StoreError::Broken`] where rows cannot be read.
    pub(crate) fn bytes(&mut self, index: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.file(index).path.clone();
        guarded(&path, || {
            if self.at.as_ref().is_none_or(|at| at.next != index) {
                self.at = Some(self.cursor(index)?);
            }
            while let Some(at) = &mut self.at {
                if at.row < at.batch.num_rows() {
                    let bytes = self.column.bytes(&path, &at.batch, at.row)?;
                    at.row += 1;
                    at.next += 1;
                    return Ok(bytes);
                }
                match at.reader.next() {
                    Some(batch) => {
                        (at.batch, at.row) = (batch.map_err(StoreError::decode(&path))?, 0);
                    }
                    // The next image lies in the next file.
                    None if self.file(index).start == index => self.at = Some(self.cursor(index)?),
                    None => break,
                }
            }
            Err(StoreError::malformed(&path, "it has fewer rows than it promises"))
        })
        .map_err(as_of_others)
    }

    /// A reader that begins at row `index` of the set.
    fn cursor(&self, index: usize) -> Result<Cursor, StoreError> {
        let file = self.file(index);
        let (mut group, mut skipped) = (0, index - file.start);
        while file.groups.get(group).is_some_and(|rows| skipped >= *rows) {
            skipped -= file.groups[group];
            group += 1;
        }
        let builder = builder(&file.path)?;
        let name = &self.column.name;
        let leaf = if self.column.in_record { format!("{name}.bytes") } else { name.clone() };
        let mask = ProjectionMask::columns(builder.parquet_schema(), [leaf.as_str()]);
        let schema = builder.schema().clone();
        let reader = builder
            .with_projection(mask)
            .with_row_groups((group..file.groups.len()).collect())
            .with_offset(skipped)
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(StoreError::decode(&file.path))?;
        let batch = RecordBatch::new_empty(schema);
        Ok(Cursor { reader, batch, row: 0, next: index })
    }

    /// Class of every image; `None` where no column says.
    ///
    /// # Errors
    /// [`StoreError::Input`] for classes that are missing or below 0.
    pub(crate) fn classes(&self) -> Result<Option<Vec<u32>>, StoreError> {
        let Some(name) = &self.classes else { return Ok(None) };
        let mut classes = Vec::with_capacity(self.len());
        for file in &self.files {
            let path = &file.path;
            guarded(path, || {
                let builder = builder(path)?;
                let mask = ProjectionMask::columns(builder.parquet_schema(), [name.as_str()]);
                let reader = builder.with_projection(mask).build();
                for batch in reader.map_err(StoreError::decode(path))? {
                    let batch = batch.map_err(StoreError::decode(path))?;
                    let column = column(path, &batch, name)?;
                    for row in 0..column.len() {
                        classes.push(class(path, name, column, row)?);
                    }
                }
                Ok(())
            })
            .map_err(as_of_others)?;
        }
        if classes.len() != self.len() {
            let path = self.files.first().map(|file| file.path.clone()).unwrap_or_default();
            let message = format!("{} classes of {} images", classes.len(), self.len());
            return Err(StoreError::Broken { path, message });
        }
        Ok(Some(classes))
    }
}

impl Column {
    fn bytes(
        &self,
        path: &Path,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let column = column(path, batch, &self.name)?;
        if column.is_null(row) {
            return Ok(None);
        }
        let values = match column.as_struct_opt() {
            Some(record) if self.in_record => record.column_by_name("bytes"),
            _ => Some(column),
        };
        let values = values
            .ok_or_else(|| StoreError::malformed(path, format!("{} has no bytes", self.name)))?;
        if values.is_null(row) {
            return Ok(None);
        }
        Ok(match values.data_type() {
            DataType::LargeBinary => Some(values.as_binary::<i64>().value(row).to_vec()),
            _ => Some(values.as_binary::<i32>().value(row).to_vec()),
        })
    }
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, StoreError> {
    guarded(path, || {
        let file = File::open(path).map_err(StoreError::read(path))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::decode(path))
    })
    .map_err(as_of_others)
}

/// Whether this program has written the file.
fn is_ours(builder: &ParquetRecordBatchReaderBuilder<File>) -> bool {
    let entries = builder.metadata().file_metadata().key_value_metadata();
    entries.is_some_and(|entries| entries.iter().any(|entry| entry.key == KEY))
}

/// Damage of a file that is not ours.
fn as_of_others(error: StoreError) -> StoreError {
    match error {
        StoreError::Malformed { path, message } => StoreError::Broken { path, message },
        other => other,
    }
}

fn column<'a>(path: &Path, batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, StoreError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| StoreError::malformed(path, format!("column {name:?} is missing")))
}

/// The column of images: that of the name `image`, else the only one of bytes.
fn image_column(path: &Path, schema: &Schema) -> Result<Column, StoreError> {
    let is_bytes = |kind: &DataType| matches!(kind, DataType::Binary | DataType::LargeBinary);
    let candidates: Vec<Column> = schema
        .fields()
        .iter()
        .filter_map(|field| {
            let in_record = match field.data_type() {
                DataType::Struct(fields) => {
                    let bytes = fields.iter().find(|field| field.name() == "bytes")?;
                    is_bytes(bytes.data_type()).then_some(true)?
                }
                kind => is_bytes(kind).then_some(false)?,
            };
            Some(Column { name: field.name().clone(), in_record })
        })
        .collect();
    let named = candidates.iter().find(|column| ["image", "img"].contains(&column.name.as_str()));
    match (named, &candidates[..]) {
        (Some(column), _) | (None, [column]) => Ok(column.clone()),
        (None, []) => {
            let message = format!(
                "it has no column of images; there are {}: expected a column `image` of {{bytes, path}}, or of bytes: cast it with datasets.Image() before saving",
                described(schema)
            );
            Err(StoreError::input(path, message))
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|column| column.name.as_str()).collect();
            let message = format!(
                "it has {} columns of bytes ({}): call that of the images `image`",
                several.len(),
                names.join(", ")
            );
            Err(StoreError::input(path, message))
        }
    }
}

fn class_column(schema: &Schema) -> Option<String> {
    let name = CLASS_COLUMNS.into_iter().find(|name| {
        schema.field_with_name(name).is_ok_and(|field| field.data_type().is_integer())
    })?;
    Some(name.to_owned())
}

/// A class, which is a whole number of 0 or more.
fn class(path: &Path, name: &str, column: &ArrayRef, row: usize) -> Result<u32, StoreError> {
    use arrow_array::types::{
        Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    };
    let refuse = |what: String| {
        let message = format!(
            "column {name:?}, row {row}: {what} is no class: expected whole numbers from 0 on; splits without classes have none to give"
        );
        StoreError::input(path, message)
    };
    if column.is_null(row) {
        return Err(refuse("null".to_owned()));
    }
    let value = match column.data_type() {
        DataType::Int8 => i128::from(column.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => i128::from(column.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i128::from(column.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => i128::from(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => i128::from(column.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => i128::from(column.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => i128::from(column.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => i128::from(column.as_primitive::<UInt64Type>().value(row)),
        other => return Err(refuse(format!("a value of type {other}"))),
    };
    u32::try_from(value).map_err(|_| refuse(value.to_string()))
}
