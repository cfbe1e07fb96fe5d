//! Record batches to Parquet bytes, and back.

use std::fs::File;
use std::path::Path;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_select::concat::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::StoreError;
use super::envelope::{Envelope, KEY, Kind};
use super::guard::guarded;

/// Rows of one read.
const BATCH_ROWS: usize = 1 << 16;

/// Parquet bytes of one batch, Snappy-compressed, with its envelope. Equal input, equal bytes.
///
/// # Errors
/// [`StoreError::Malformed`] when the batch cannot be written, which is a fault of the caller.
pub(super) fn to_bytes(
    path: &Path,
    batch: &RecordBatch,
    envelope: &Envelope,
) -> Result<Vec<u8>, StoreError> {
    let text = serde_json::to_string(envelope).map_err(StoreError::decode(path))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by("dubench".to_owned())
        .set_key_value_metadata(Some(vec![KeyValue::new(KEY.to_owned(), text)]))
        .build();
    let mut bytes = Vec::new();
    let fail = StoreError::decode(path);
    let mut writer =
        ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(&fail)?;
    writer.write(batch).map_err(&fail)?;
    writer.close().map_err(&fail)?;
    Ok(bytes)
}

/// A Parquet file with its envelope; only the columns that `wanted` accepts.
///
/// # Errors
/// [`StoreError::Read`], [`StoreError::Malformed`], [`StoreError::Mismatch`].
pub(super) fn read(
    path: &Path,
    kind: Kind,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Envelope, RecordBatch), StoreError> {
    let file = File::open(path).map_err(StoreError::read(path))?;
    guarded(path, || decode(path, file, kind, wanted))
}

fn decode(
    path: &Path,
    file: File,
    kind: Kind,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Envelope, RecordBatch), StoreError> {
    let fail = StoreError::decode(path);
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&fail)?;
    let envelope = envelope_of(path, &builder, kind)?;
    let columns: Vec<usize> = builder
        .schema()
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| wanted(field.name()))
        .map(|(index, _)| index)
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let reader =
        builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(&fail)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(StoreError::decode(path))?;
    let batch = concat_batches(&schema, &batches).map_err(StoreError::decode(path))?;
    Ok((envelope, batch))
}

/// The envelope of a file, without its columns.
///
/// # Errors
/// As [`read`].
pub(super) fn read_envelope(path: &Path, kind: Kind) -> Result<Envelope, StoreError> {
    let file = File::open(path).map_err(StoreError::read(path))?;
    guarded(path, || {
        let builder =
            ParquetRecordBatchReaderBuilder::try_new(file).map_err(StoreError::decode(path))?;
        envelope_of(path, &builder, kind)
    })
}

fn envelope_of(
    path: &Path,
    builder: &ParquetRecordBatchReaderBuilder<File>,
    kind: Kind,
) -> Result<Envelope, StoreError> {
    let text = builder
        .metadata()
        .file_metadata()
        .key_value_metadata()
        .and_then(|entries| entries.iter().find(|entry| entry.key == KEY))
        .and_then(|entry| entry.value.as_deref())
        .ok_or_else(|| StoreError::malformed(path, "it has no metadata of ours"))?;
    Envelope::parse(path, text, kind)
}
