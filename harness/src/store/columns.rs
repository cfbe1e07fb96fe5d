//! Columns of a record batch, by name, with errors that name file and column.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use arrow_buffer::{Buffer, NullBuffer};
use arrow_schema::{DataType, Field, Schema};

use super::StoreError;

/// Columns in the making.
#[derive(Debug, Default)]
pub(super) struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn push(&mut self, name: &str, array: ArrayRef, nullable: bool) -> &mut Self {
        self.fields.push(Field::new(name, array.data_type().clone(), nullable));
        self.arrays.push(array);
        self
    }

    /// A column of text.
    pub(super) fn text<'a>(
        &mut self,
        name: &str,
        values: impl Iterator<Item = &'a str>,
    ) -> &mut Self {
        self.push(name, Arc::new(StringArray::from_iter_values(values)), false)
    }

    /// A column of text with gaps.
    pub(super) fn optional_text<'a>(
        &mut self,
        name: &str,
        values: impl Iterator<Item = Option<&'a str>>,
    ) -> &mut Self {
        self.push(name, Arc::new(values.collect::<StringArray>()), true)
    }

    /// A column of f64.
    pub(super) fn f64(&mut self, name: &str, values: impl Iterator<Item = f64>) -> &mut Self {
        self.push(name, Arc::new(Float64Array::from_iter_values(values)), false)
    }

    /// A column of f64 with gaps.
    pub(super) fn optional_f64(
        &mut self,
        name: &str,
        values: impl Iterator<Item = Option<f64>>,
    ) -> &mut Self {
        self.push(name, Arc::new(values.collect::<Float64Array>()), true)
    }

    /// A column of u64.
    pub(super) fn u64(&mut self, name: &str, values: impl Iterator<Item = u64>) -> &mut Self {
        self.push(name, Arc::new(UInt64Array::from_iter_values(values)), false)
    }

    /// A column of u64 with gaps.
    pub(super) fn optional_u64(
        &mut self,
        name: &str,
        values: impl Iterator<Item = Option<u64>>,
    ) -> &mut Self {
        self.push(name, Arc::new(values.collect::<UInt64Array>()), true)
    }

    /// A column of u32.
    pub(super) fn u32(&mut self, name: &str, values: impl Iterator<Item = u32>) -> &mut Self {
        self.push(name, Arc::new(UInt32Array::from_iter_values(values)), false)
    }

    /// A column of equally long byte strings, given end to end.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the bytes do not divide into items of `width`.
    pub(super) fn bytes(
        &mut self,
        path: &Path,
        name: &str,
        width: usize,
        bytes: Vec<u8>,
    ) -> Result<&mut Self, StoreError> {
        let size = i32::try_from(width).map_err(StoreError::decode(path))?;
        let array =
            FixedSizeBinaryArray::try_new(size, Buffer::from_vec(bytes), None::<NullBuffer>)
                .map_err(StoreError::decode(path))?;
        Ok(self.push(name, Arc::new(array), false))
    }

    /// The batch.
    ///
    /// # Errors
    /// [`StoreError::Malformed`] when the columns differ in length.
    pub(super) fn finish(&mut self, path: &Path) -> Result<RecordBatch, StoreError> {
        let schema = Arc::new(Schema::new(std::mem::take(&mut self.fields)));
        RecordBatch::try_new(schema, std::mem::take(&mut self.arrays))
            .map_err(StoreError::decode(path))
    }
}

/// A batch that was read, with the file that it came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) path: &'a Path,
    pub(super) batch: &'a RecordBatch,
}

impl Rows<'_> {
    fn column<T: Array + 'static>(&self, name: &str) -> Result<&T, StoreError> {
        let column = self.batch.column_by_name(name).ok_or_else(|| self.wrong(name, "missing"))?;
        column.as_any().downcast_ref().ok_or_else(|| {
            self.wrong(name, &format!("of type {}, which is not ours", column.data_type()))
        })
    }

    fn wrong(&self, name: &str, what: &str) -> StoreError {
        StoreError::malformed(self.path, format!("column {name:?} is {what}"))
    }

    fn whole<T: Array + 'static>(&self, name: &str) -> Result<&T, StoreError> {
        let column: &T = self.column(name)?;
        if column.null_count() == 0 { Ok(column) } else { Err(self.wrong(name, "not whole")) }
    }

    /// A column of text.
    pub(super) fn text(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let column: &StringArray = self.whole(name)?;
        Ok(column.iter().flatten().map(str::to_owned).collect())
    }

    /// A column of text with gaps.
    pub(super) fn optional_text(&self, name: &str) -> Result<Vec<Option<String>>, StoreError> {
        let column: &StringArray = self.column(name)?;
        Ok(column.iter().map(|value| value.map(str::to_owned)).collect())
    }

    /// A column of f64.
    pub(super) fn f64(&self, name: &str) -> Result<Vec<f64>, StoreError> {
        Ok(self.whole::<Float64Array>(name)?.values().to_vec())
    }

    /// A column of f64 with gaps.
    pub(super) fn optional_f64(&self, name: &str) -> Result<Vec<Option<f64>>, StoreError> {
        Ok(self.column::<Float64Array>(name)?.iter().collect())
    }

    /// A column of u64.
    pub(super) fn u64(&self, name: &str) -> Result<Vec<u64>, StoreError> {
        Ok(self.whole::<UInt64Array>(name)?.values().to_vec())
    }

    /// A column of u64 with gaps.
    pub(super) fn optional_u64(&self, name: &str) -> Result<Vec<Option<u64>>, StoreError> {
        Ok(self.column::<UInt64Array>(name)?.iter().collect())
    }

    /// A column of u32.
    pub(super) fn u32(&self, name: &str) -> Result<Vec<u32>, StoreError> {
        Ok(self.whole::<UInt32Array>(name)?.values().to_vec())
    }

    /// A column of byte strings of `width` bytes, end to end.
    pub(super) fn bytes(&self, name: &str, width: usize) -> Result<Vec<u8>, StoreError> {
        let column: &FixedSizeBinaryArray = self.whole(name)?;
        let expected = DataType::FixedSizeBinary(i32::try_from(width).unwrap_or(-1));
        if *column.data_type() != expected {
            return Err(self.wrong(name, &format!("{}, not {expected}", column.data_type())));
        }
        Ok(column.iter().flatten().flatten().copied().collect())
    }
}
