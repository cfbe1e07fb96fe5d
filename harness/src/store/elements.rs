//! Elements of `.npy` arrays as numbers: every plain type of `NumPy`, in either order of bytes.

use std::io::Read;

use half::f16;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::dtype::{Dtype, Kind};
use super::npy::Header;
use super::trouble::Trouble;

/// Bytes that are read at once; what is allocated follows what was read, not what a header promises.
const CHUNK: usize = 1 << 20;

/// Numbers in the precision that holds them; whole numbers of 64 bits become the nearest f64.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Numbers {
    /// `u1`: levels of images.
    U8(ArrayD<u8>),
    /// `f2`, `f4`, `i1`, `i2`, `u2`, `b1`: exact in single precision.
    F32(ArrayD<f32>),
    /// `f8`, `i4`, `i8`, `u4`, `u8`.
    F64(ArrayD<f64>),
}

impl Numbers {
    /// Length of each axis.
    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::U8(array) => array.shape(),
            Self::F32(array) => array.shape(),
            Self::F64(array) => array.shape(),
        }
    }
}

/// Reads the elements that follow a header.
pub(super) fn read(reader: &mut impl Read, header: &Header) -> Result<Numbers, Trouble> {
    let Dtype { kind, size, .. } = header.dtype;
    let mut source = Source { reader, header };
    Ok(match (kind, size) {
        (Kind::Unsigned, 1) => Numbers::U8(source.array(|[byte]| byte)?),
        (Kind::Bool, _) => Numbers::F32(source.array(|[byte]| f32::from(u8::from(byte != 0)))?),
        (Kind::Signed, 1) => Numbers::F32(source.array(|b| f32::from(i8::from_le_bytes(b)))?),
        (Kind::Signed, 2) => Numbers::F32(source.array(|b| f32::from(i16::from_le_bytes(b)))?),
        (Kind::Signed, 4) => Numbers::F64(source.array(|b| f64::from(i32::from_le_bytes(b)))?),
        (Kind::Signed, _) => Numbers::F64(source.array(|b| i64::from_le_bytes(b) as f64)?),
        (Kind::Unsigned, 2) => Numbers::F32(source.array(|b| f32::from(u16::from_le_bytes(b)))?),
        (Kind::Unsigned, 4) => Numbers::F64(source.array(|b| f64::from(u32::from_le_bytes(b)))?),
        (Kind::Unsigned, _) => Numbers::F64(source.array(|b| u64::from_le_bytes(b) as f64)?),
        (Kind::Float, 2) => Numbers::F32(source.array(|b| f16::from_le_bytes(b).to_f32())?),
        (Kind::Float, 4) => Numbers::F32(source.array(f32::from_le_bytes)?),
        (Kind::Float, _) => Numbers::F64(source.array(f64::from_le_bytes)?),
    })
}

struct Source<'a, R> {
    reader: &'a mut R,
    header: &'a Header,
}

impl<R: Read> Source<'_, R> {
    fn array<T, const W: usize>(
        &mut self,
        number: impl Fn([u8; W]) -> T,
    ) -> Result<ArrayD<T>, Trouble> {
        let n: usize = self.header.shape.iter().product();
        let big_endian = self.header.dtype.big_endian;
        let mut values = Vec::new();
        let mut chunk = vec![0; (n * W).min(CHUNK)];
        while values.len() < n {
            let chunk = &mut chunk[..((n - values.len()) * W).min(CHUNK)];
            self.reader.read_exact(chunk)?;
            let (elements, _) = chunk.as_chunks::<W>();
            values.extend(elements.iter().map(|bytes| {
                let mut bytes = *bytes;
                if big_endian {
                    bytes.reverse();
                }
                number(bytes)
            }));
        }
        let shape = IxDyn(&self.header.shape);
        ArrayD::from_shape_vec(shape.set_f(self.header.fortran), values)
            .map_err(|error| Trouble::Other(error.to_string()))
    }
}
