//! Arrays on their way into a session.

use half::f16;
use ndarray::{ArrayViewD, CowArray, IxDyn};
use ort::session::SessionInputValue;
use ort::value::{DynTensor, Tensor, TensorElementType, TensorRef};

/// One input of one call.
#[derive(Clone, Debug)]
pub enum Feed<'a> {
    /// `f32`.
    F32(ArrayViewD<'a, f32>),
    /// `f64`.
    F64(ArrayViewD<'a, f64>),
    /// `f16`.
    F16(ArrayViewD<'a, f16>),
    /// `i64`.
    I64(ArrayViewD<'a, i64>),
    /// `i32`.
    I32(ArrayViewD<'a, i32>),
    /// `u8`.
    U8(ArrayViewD<'a, u8>),
}

/// A feed in standard layout, which is what the runtime takes.
pub(super) enum Standard<'a> {
    F32(CowArray<'a, f32, IxDyn>),
    F64(CowArray<'a, f64, IxDyn>),
    F16(CowArray<'a, f16, IxDyn>),
    I64(CowArray<'a, i64, IxDyn>),
    I32(CowArray<'a, i32, IxDyn>),
    U8(CowArray<'a, u8, IxDyn>),
}

impl Feed<'_> {
    pub(super) fn standard(&self) -> Standard<'_> {
        match self {
            Self::F32(view) => Standard::F32(view.as_standard_layout()),
            Self::F64(view) => Standard::F64(view.as_standard_layout()),
            Self::F16(view) => Standard::F16(view.as_standard_layout()),
            Self::I64(view) => Standard::I64(view.as_standard_layout()),
            Self::I32(view) => Standard::I32(view.as_standard_layout()),
            Self::U8(view) => Standard::U8(view.as_standard_layout()),
        }
    }
}

/// `$body` with the array of a feed, whatever its elements are.
macro_rules! with_array {
    ($feed:expr, $array:ident => $body:expr) => {
        match $feed {
            Standard::F32($array) => $body,
            Standard::F64($array) => $body,
            Standard::F16($array) => $body,
            Standard::I64($array) => $body,
            Standard::I32($array) => $body,
            Standard::U8($array) => $body,
        }
    };
}

impl Standard<'_> {
    pub(super) fn shape(&self) -> &[usize] {
        with_array!(self, array => array.shape())
    }

    pub(super) fn dtype(&self) -> TensorElementType {
        match self {
            Self::F32(_) => TensorElementType::Float32,
            Self::F64(_) => TensorElementType::Float64,
            Self::F16(_) => TensorElementType::Float16,
            Self::I64(_) => TensorElementType::Int64,
            Self::I32(_) => TensorElementType::Int32,
            Self::U8(_) => TensorElementType::Uint8,
        }
    }

    /// The array where it lies, for a plain call.
    pub(super) fn borrowed(&self) -> Result<SessionInputValue<'_>, ort::Error> {
        Ok(with_array!(self, array => TensorRef::from_array_view(array.view())?.into()))
    }

    /// A buffer with its values.
    ///
    /// Why no borrowed tensor? `ort` 2.0.0-rc.15 never returns from binding one.
    pub(super) fn buffer(&self) -> Result<DynTensor, ort::Error> {
        Ok(with_array!(self, array => Tensor::from_array(array.to_owned())?.upcast()))
    }

    /// Its values into a buffer of the same elements and shape.
    pub(super) fn copy_into(&self, buffer: &mut DynTensor) -> Result<(), ort::Error> {
        with_array!(self, array => buffer.try_extract_array_mut()?.assign(array));
        Ok(())
    }
}
