//! Small inputs in the element types that graphs ask for.

use half::f16;
use ndarray::{Array1, ArrayD};
use ort::value::TensorElementType;

use super::feed::Feed;
use crate::noise::nearest_f32;

/// Values of an input in the element type of the graph.
pub(super) enum Values {
    I64(ArrayD<i64>),
    I32(ArrayD<i32>),
    F16(ArrayD<f16>),
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
}

impl Values {
    /// Classes, one a row.
    pub(super) fn of_labels(values: Array1<u32>, dtype: TensorElementType) -> Self {
        let narrow = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
        match dtype {
            TensorElementType::Int32 => Self::I32(values.mapv(narrow).into_dyn()),
            _ => Self::I64(values.mapv(i64::from).into_dyn()),
        }
    }

    /// Times, already as the network is told them.
    pub(super) fn of_times(times: &ArrayD<f64>, dtype: TensorElementType) -> Result<Self, String> {
        match dtype {
            TensorElementType::Float16 => Ok(Self::F16(times.mapv(f16::from_f64))),
            TensorElementType::Float32 => Ok(Self::F32(times.mapv(nearest_f32))),
            TensorElementType::Float64 => Ok(Self::F64(times.clone())),
            _ => {
                let whole = times.iter().map(|t| whole(*t)).collect::<Result<Vec<i64>, _>>()?;
                let mut whole = whole.into_iter();
                let wide = times.mapv(|_| whole.next().unwrap_or_default());
                Ok(match dtype {
                    TensorElementType::Int32 => {
                        Self::I32(wide.mapv(|t| i32::try_from(t).unwrap_or(i32::MAX)))
                    }
                    _ => Self::I64(wide),
                })
            }
        }
    }

    /// Numbers of a condition; those of whole-number inputs are whole, which opening has made sure of.
    #[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^24 in size")]
    pub(super) fn of_numbers(values: ArrayD<f32>, dtype: TensorElementType) -> Self {
        match dtype {
            TensorElementType::Float16 => Self::F16(values.mapv(f16::from_f32)),
            TensorElementType::Float64 => Self::F64(values.mapv(f64::from)),
            TensorElementType::Int32 => Self::I32(values.mapv(|value| value as i32)),
            TensorElementType::Int64 => Self::I64(values.mapv(|value| value as i64)),
            _ => Self::F32(values),
        }
    }

    pub(super) fn feed(&self) -> Feed<'_> {
        match self {
            Self::I64(values) => Feed::I64(values.view()),
            Self::I32(values) => Feed::I32(values.view()),
            Self::F16(values) => Feed::F16(values.view()),
            Self::F32(values) => Feed::F32(values.view()),
            Self::F64(values) => Feed::F64(values.view()),
        }
    }
}

/// The integer that a time is, for graphs that take integers.
#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 in size")]
fn whole(t: f64) -> Result<i64, String> {
    if (t - t.round()).abs() < 1e-6 && t.abs() < 9e15 {
        return Ok(t.round() as i64);
    }
    Err(format!(
        "it takes whole numbers for the time and is asked at {t}: export it with a float time, or use a sampler that stays on training steps"
    ))
}
