//! Values that go into and come out of a graph, and the element types of ONNX.

use super::proto::TensorProto;

/// Element type of a tensor, as far as the passes tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float: the only type that gradients are made for.
    F32,
    /// 64-bit float.
    F64,
    /// Half precision.
    F16,
    /// Brain half precision.
    Bf16,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// Unsigned byte.
    U8,
    /// Truth value.
    Bool,
    /// Text.
    String,
    /// Anything else, by its ONNX number.
    Other(i32),
}

impl ElementType {
    /// From the number that `TensorProto.data_type` holds.
    ///
    /// # Examples
    /// ```
    /// use dubench_graph::ElementType;
    /// assert_eq!(ElementType::from_onnx(1), ElementType::F32);
    /// assert_eq!(ElementType::F32.to_onnx(), 1);
    /// ```
    pub fn from_onnx(code: i32) -> Self {
        match code {
            1 => Self::F32,
            2 => Self::U8,
            6 => Self::I32,
            7 => Self::I64,
            8 => Self::String,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            16 => Self::Bf16,
            other => Self::Other(other),
        }
    }

    /// The number that `TensorProto.data_type` holds.
    pub fn to_onnx(self) -> i32 {
        match self {
            Self::F32 => 1,
            Self::U8 => 2,
            Self::I32 => 6,
            Self::I64 => 7,
            Self::String => 8,
            Self::Bool => 9,
            Self::F16 => 10,
            Self::F64 => 11,
            Self::Bf16 => 16,
            Self::Other(code) => code,
        }
    }

    /// Whether values of this type can carry a gradient.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }

    /// Whether values of this type may steer shapes (starts, axes, indices, conditions).
    pub fn is_integer(self) -> bool {
        matches!(self, Self::I64 | Self::I32 | Self::Bool)
    }

    /// Bytes of one element where that is fixed and known here.
    pub(crate) fn size(self) -> Option<usize> {
        match self {
            Self::F32 | Self::I32 => Some(4),
            Self::F64 | Self::I64 => Some(8),
            Self::F16 | Self::Bf16 => Some(2),
            Self::U8 | Self::Bool => Some(1),
            Self::String => None,
            // i8, u16, i16, u32, u64 of the schema; the rest is packed or unknown.
            Self::Other(code) => match code {
                3 => Some(1),
                4 | 5 => Some(2),
                12 => Some(4),
                13 => Some(8),
                _ => None,
            },
        }
    }
}

/// The elements of a [`Tensor`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// f32 elements.
    F32(Vec<f32>),
    /// f64 elements.
    F64(Vec<f64>),
    /// i64 elements.
    I64(Vec<i64>),
    /// i32 elements.
    I32(Vec<i32>),
    /// u8 elements.
    U8(Vec<u8>),
    /// bool elements.
    Bool(Vec<bool>),
}

/// A dense array: shape and row-major elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    /// Pairs a shape with its elements; `None` where their counts differ.
    ///
    /// # Examples
    /// ```
    /// use dubench_graph::{Tensor, TensorData};
    /// assert!(Tensor::new(vec![2, 2], TensorData::F32(vec![0.0; 4])).is_some());
    /// assert!(Tensor::new(vec![2, 2], TensorData::F32(vec![0.0; 3])).is_none());
    /// ```
    pub fn new(shape: Vec<usize>, data: TensorData) -> Option<Self> {
        let expected = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        (data.len() == expected).then_some(Self { shape, data })
    }

    /// A vector of i64, as shapes and axes are written.
    pub fn vector_i64(values: Vec<i64>) -> Self {
        Self { shape: vec![values.len()], data: TensorData::I64(values) }
    }

    /// A vector of f32.
    pub fn vector_f32(values: Vec<f32>) -> Self {
        Self { shape: vec![values.len()], data: TensorData::F32(values) }
    }

    /// One f32 without axes.
    pub fn scalar_f32(value: f32) -> Self {
        Self { shape: Vec::new(), data: TensorData::F32(vec![value]) }
    }

    /// One f64 without axes.
    pub fn scalar_f64(value: f64) -> Self {
        Self { shape: Vec::new(), data: TensorData::F64(vec![value]) }
    }

    /// One i64 without axes.
    pub fn scalar_i64(value: i64) -> Self {
        Self { shape: Vec::new(), data: TensorData::I64(vec![value]) }
    }

    /// Length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// Elements of an f32 tensor.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(v) => Some(v),
            _ => None,
        }
    }

    /// Elements of an integer or bool tensor, widened to i64.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        match &self.data {
            TensorData::I64(v) => Some(v.clone()),
            TensorData::I32(v) => Some(v.iter().map(|&e| i64::from(e)).collect()),
            TensorData::U8(v) => Some(v.iter().map(|&e| i64::from(e)).collect()),
            TensorData::Bool(v) => Some(v.iter().map(|&e| i64::from(e)).collect()),
            TensorData::F32(_) | TensorData::F64(_) => None,
        }
    }

    /// Elements of a float tensor, as f64.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        match &self.data {
            TensorData::F32(v) => Some(v.iter().map(|&e| f64::from(e)).collect()),
            TensorData::F64(v) => Some(v.clone()),
            _ => None,
        }
    }

    /// Element type.
    pub fn element_type(&self) -> ElementType {
        match self.data {
            TensorData::F32(_) => ElementType::F32,
            TensorData::F64(_) => ElementType::F64,
            TensorData::I64(_) => ElementType::I64,
            TensorData::I32(_) => ElementType::I32,
            TensorData::U8(_) => ElementType::U8,
            TensorData::Bool(_) => ElementType::Bool,
        }
    }

    /// As an initializer called `name`, elements in little-endian `raw_data`.
    pub(crate) fn to_proto(&self, name: &str) -> TensorProto {
        let raw: Vec<u8> = match &self.data {
            TensorData::F32(v) => v.iter().flat_map(|e| e.to_le_bytes()).collect(),
            TensorData::F64(v) => v.iter().flat_map(|e| e.to_le_bytes()).collect(),
            TensorData::I64(v) => v.iter().flat_map(|e| e.to_le_bytes()).collect(),
            TensorData::I32(v) => v.iter().flat_map(|e| e.to_le_bytes()).collect(),
            TensorData::U8(v) => v.clone(),
            TensorData::Bool(v) => v.iter().map(|&e| u8::from(e)).collect(),
        };
        TensorProto {
            dims: self.shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect(),
            data_type: Some(self.element_type().to_onnx()),
            name: name.to_owned(),
            raw_data: Some(raw.into()),
            ..TensorProto::default()
        }
    }

    /// Decodes little-endian bytes; the text of the error says what does not fit.
    pub(crate) fn from_le_bytes(
        element: ElementType,
        shape: &[usize],
        bytes: &[u8],
    ) -> Result<Self, String> {
        let data = match element {
            ElementType::F32 => TensorData::F32(decode(bytes, f32::from_le_bytes)),
            ElementType::F64 => TensorData::F64(decode(bytes, f64::from_le_bytes)),
            ElementType::I64 => TensorData::I64(decode(bytes, i64::from_le_bytes)),
            ElementType::I32 => TensorData::I32(decode(bytes, i32::from_le_bytes)),
            ElementType::U8 => TensorData::U8(bytes.to_vec()),
            ElementType::Bool => TensorData::Bool(bytes.iter().map(|&b| b != 0).collect()),
            other => return Err(format!("values of type {other:?} cannot be read here")),
        };
        let found = data.len();
        Self::new(shape.to_vec(), data).ok_or_else(|| {
            format!("holds {found} elements, its shape {shape:?} asks for another number")
        })
    }

    /// Decodes an initializer whose elements are inside the message.
    pub(crate) fn from_inline_proto(proto: &TensorProto) -> Result<Self, String> {
        let shape = shape_of(proto)?;
        let element = ElementType::from_onnx(proto.data_type.unwrap_or(0));
        if let Some(raw) = proto.raw_data.as_ref().filter(|raw| !raw.is_empty()) {
            return Self::from_le_bytes(element, &shape, raw);
        }
        let data = match element {
            ElementType::F32 => TensorData::F32(proto.float_data.clone()),
            ElementType::F64 => TensorData::F64(proto.double_data.clone()),
            ElementType::I64 => TensorData::I64(proto.int64_data.clone()),
            ElementType::I32 => TensorData::I32(proto.int32_data.clone()),
            ElementType::U8 => TensorData::U8(
                proto.int32_data.iter().map(|&e| u8::try_from(e).unwrap_or(u8::MAX)).collect(),
            ),
            ElementType::Bool => {
                TensorData::Bool(proto.int32_data.iter().map(|&e| e != 0).collect())
            }
            other => return Err(format!("values of type {other:?} cannot be read here")),
        };
        let found = data.len();
        Self::new(shape.clone(), data).ok_or_else(|| {
            format!("holds {found} elements, its shape {shape:?} asks for another number")
        })
    }
}

impl TensorData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::U8(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shape of an initializer; refuses negative lengths.
pub(crate) fn shape_of(proto: &TensorProto) -> Result<Vec<usize>, String> {
    proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| format!("has the length {d} on one axis")))
        .collect()
}

fn decode<const N: usize, T>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    // A rest of fewer than N bytes shows as a wrong element count in the caller.
    let extra = usize::from(!bytes.len().is_multiple_of(N));
    let mut out: Vec<T> = Vec::with_capacity(bytes.len() / N + extra);
    let mut chunks = bytes.chunks_exact(N);
    for chunk in &mut chunks {
        if let Ok(array) = <[u8; N]>::try_from(chunk) {
            out.push(from(array));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{ElementType, Tensor, TensorData};

    #[test]
    fn initializers_survive_the_way_through_the_message() {
        for data in [
            TensorData::F32(vec![1.5, -2.0]),
            TensorData::F64(vec![1.5, -2.0]),
            TensorData::I64(vec![-7, 1 << 40]),
            TensorData::I32(vec![-7, 9]),
            TensorData::U8(vec![0, 255]),
            TensorData::Bool(vec![true, false]),
        ] {
            let tensor = Tensor::new(vec![2, 1], data).unwrap();
            assert_eq!(Tensor::from_inline_proto(&tensor.to_proto("w")).unwrap(), tensor);
        }
    }

    #[test]
    fn typed_fields_are_read_where_there_is_no_raw_data() {
        let proto = super::TensorProto {
            dims: vec![2],
            data_type: Some(9),
            int32_data: vec![1, 0],
            ..Default::default()
        };
        let tensor = Tensor::from_inline_proto(&proto).unwrap();
        assert_eq!(tensor.data(), &TensorData::Bool(vec![true, false]));
        assert_eq!(tensor.to_i64().unwrap(), [1, 0]);
    }

    #[test]
    fn a_shape_that_disagrees_with_its_elements_is_refused() {
        let text = Tensor::from_le_bytes(ElementType::F32, &[2], &[0; 7]).unwrap_err();
        assert!(text.contains("holds 1 elements"), "{text}");
        let proto = super::TensorProto { dims: vec![-1], data_type: Some(1), ..Default::default() };
        assert!(Tensor::from_inline_proto(&proto).unwrap_err().contains("length -1"));
    }
}
