//! In which precision a network works.

use serde::{Deserialize, Serialize};

/// Element type of most of a network's weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionYaml {
    /// 32 bits.
    #[default]
    Float32,
    /// IEEE half precision.
    Float16,
    /// Brain half precision.
    Bfloat16,
    /// 32 bits of which products read 19, on the tensor cores of a GPU.
    Tf32,
}

impl PrecisionYaml {
    /// Whether it is the one that is not mentioned.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    pub(super) fn is_float32(&self) -> bool {
        *self == Self::Float32
    }

    /// As `model.yaml` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::Bfloat16 => "bfloat16",
            Self::Tf32 => "tf32",
        }
    }
}
