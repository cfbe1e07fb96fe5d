//! Types of the elements of `NumPy` arrays.

/// Type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// Type, size and order of the bytes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dtype {
    pub(crate) kind: Kind,
    /// Bytes.
    pub(crate) size: usize,
    pub(super) big_endian: bool,
}

impl Dtype {
    /// From a descriptor such as `<f4`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let order = letters.next()?;
        let kind = match letters.next()? {
            'b' => Kind::Bool,
            'i' => Kind::Signed,
            'u' => Kind::Unsigned,
            'f' => Kind::Float,
            _ => return None,
        };
        let size = letters.as_str().parse().ok()?;
        let known = match kind {
            Kind::Bool => size == 1,
            Kind::Signed | Kind::Unsigned => [1, 2, 4, 8].contains(&size),
            Kind::Float => [2, 4, 8].contains(&size),
        };
        let big_endian = match order {
            '<' | '|' => false,
            '=' => cfg!(target_endian = "big"),
            '>' => true,
            _ => return None,
        };
        known.then_some(Self { kind, size, big_endian })
    }

    /// Whether elements are levels of images.
    pub(crate) fn is_u8(self) -> bool {
        self.kind == Kind::Unsigned && self.size == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_numbers_are_known_and_others_are_not() {
        for text in ["|b1", "|i1", "|u1", "<i2", ">u4", "<i8", "<f2", ">f4", "=f8"] {
            assert!(Dtype::parse(text).is_some(), "{text}");
        }
        for text in ["|O", "<c8", "<U5", "|S3", "<f16", "<M8[ns]", "|V8", "", "<", "<f"] {
            assert!(Dtype::parse(text).is_none(), "{text}");
        }
    }
}
