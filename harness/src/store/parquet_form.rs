//! Where features stand in a Parquet file: in a part of ours, in columns of floats, or in one column of lists.

use std::fs::File;
use std::path::Path;

use arrow_schema::{DataType, FieldRef, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use serde_json::Value;

use super::StoreError;
use super::envelope::{FORMAT, KEY};

/// Where the features of a file stand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// A part of ours: `feature`, bytes of f32 `[dim]`.
    Part { dim: usize, stage_id: String },
    /// Columns of floats, in their order.
    Columns(Vec<String>),
    /// One column of lists of floats.
    Lists(String),
}

/// Where the features of a file stand, whether they are f64, and the columns that are something else.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) place: Place,
    pub(super) wide: bool,
    pub(super) left_out: Vec<String>,
    /// Number of the block of a part of ours.
    pub(super) block: Option<u64>,
}

impl Form {
    /// The form of a file.
    ///
    /// # Errors
    /// [`StoreError::Input`] for columns that are no features and for compressions that are not read; for parts of ours
    /// [`StoreError::Version`] and [`StoreError::Malformed`].
    pub(super) fn of(
        path: &Path,
        builder: &ParquetRecordBatchReaderBuilder<File>,
    ) -> Result<Self, StoreError> {
        refuse_compression(path, builder)?;
        let entries = builder.metadata().file_metadata().key_value_metadata();
        let ours = entries.and_then(|entries| entries.iter().find(|entry| entry.key == KEY));
        match ours.and_then(|entry| entry.value.as_deref()) {
            Some(text) => Self::of_part(path, text),
            None => Self::of_table(path, builder.schema()),
        }
    }

    /// Whether both have the same columns.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        (&self.place, self.wide) == (&other.place, other.wide)
    }

    /// The form of a part of ours.
    fn of_part(path: &Path, text: &str) -> Result<Self, StoreError> {
        let value: Value = serde_json::from_str(text).map_err(StoreError::decode(path))?;
        let got = value["format"].as_u64().unwrap_or(0);
        if got != u64::from(FORMAT) {
            let (path, expected) = (path.to_owned(), u64::from(FORMAT));
            return Err(StoreError::Version { path, got, expected });
        }
        if value["kind"] != "features" {
            let message = format!(
                "it holds {} of a run, not features: give the folder parts/features/ID of the work folder",
                value["kind"].as_str().unwrap_or("something")
            );
            return Err(StoreError::input(path, message));
        }
        let number = |key: &str| value["detail"][key].as_u64();
        let dim = number("dim").and_then(|dim| usize::try_from(dim).ok());
        let (Some(dim), Some(block), Some(stage_id)) =
            (dim, number("block"), value["stage_id"].as_str())
        else {
            return Err(StoreError::malformed(path, "its metadata say no dim, block or stage_id"));
        };
        let place = Place::Part { dim, stage_id: stage_id.to_owned() };
        Ok(Self { place, wide: false, left_out: Vec::new(), block: Some(block) })
    }

    /// Features of a table that is not ours.
    fn of_table(path: &Path, schema: &Schema) -> Result<Self, StoreError> {
        let fields = schema.fields().iter();
        let (lists, others): (Vec<_>, Vec<_>) =
            fields.partition(|field| item_of(field.data_type()).is_some_and(is_float));
        let (floats, left_out): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|field| is_float(field.data_type()));
        let left_out = names(&left_out);
        let (place, kinds) = match (lists.as_slice(), floats.as_slice()) {
            ([list], []) => {
                (Place::Lists(list.name().clone()), item_of(list.data_type()).into_iter().collect())
            }
            ([], [_, ..]) => {
                let kinds: Vec<_> = floats.iter().map(|field| field.data_type()).collect();
                (Place::Columns(names(&floats)), kinds)
            }
            ([], []) => {
                let message = format!(
                    "it has no column of floats and no column of lists of floats; there are {}: features are one of these, in float16, float32 or float64",
                    described(schema)
                );
                return Err(StoreError::input(path, message));
            }
            (lists, floats) => {
                let message = format!(
                    "it has {} columns of lists of floats ({}) and {} of floats: write a table with one column of lists, or with columns of floats alone",
                    lists.len(),
                    names(lists).join(", "),
                    floats.len()
                );
                return Err(StoreError::input(path, message));
            }
        };
        let wide = kinds.contains(&&DataType::Float64);
        Ok(Self { place, wide, left_out, block: None })
    }

    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.place {
            Place::Part { dim, stage_id } => {
                format!("{dim} values of the part of a run {stage_id:.8}")
            }
            Place::Columns(names) => format!(
                "{} columns {} .. {}{}",
                names.len(),
                names.first().map_or("", String::as_str),
                names.last().map_or("", String::as_str),
                if self.wide { " in float64" } else { "" }
            ),
            Place::Lists(name) => {
                format!("lists {name}{}", if self.wide { " in float64" } else { "" })
            }
        }
    }
}

fn is_float(kind: &DataType) -> bool {
    matches!(kind, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// Type of the items of a list.
fn item_of(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Some(item.data_type())
        }
        _ => None,
    }
}

fn names(fields: &[&FieldRef]) -> Vec<String> {
    fields.iter().map(|field| field.name().clone()).collect()
}

/// Names and types of the first columns.
pub(super) fn described(schema: &Schema) -> String {
    let first = schema.fields().iter().take(8);
    let mut names: Vec<String> =
        first.map(|field| format!("{} ({})", field.name(), field.data_type())).collect();
    if schema.fields().len() > names.len() {
        names.push(format!("{} more", schema.fields().len() - names.len()));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Refuses pages that nothing here unpacks.
pub(super) fn refuse_compression(
    path: &Path,
    builder: &ParquetRecordBatchReaderBuilder<File>,
) -> Result<(), StoreError> {
    let columns = builder
        .metadata()
        .row_groups()
        .iter()
        .flat_map(parquet::file::metadata::RowGroupMetaData::columns);
    for column in columns {
        let used = column.compression();
        if !matches!(used, Compression::UNCOMPRESSED | Compression::SNAPPY) {
            let message = format!(
                "its columns are compressed by {used}, read are snappy and none: write it with compression='snappy'"
            );
            return Err(StoreError::input(path, message));
        }
    }
    Ok(())
}
