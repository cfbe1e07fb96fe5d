//! Digests of plain arrays, and tables of them.
//!
//! # What is hashed?
//! SHA-256 over the number of axes, every axis length (all u64 little-endian), then the values in row-major order,
//! little-endian: u8 as it is, u32, and the bits of f32 and f64. No name, no type and no text of a struct is part of it, so
//! any program that can read the array can make the digest again:
//!
//! ```text
//! np: sha256(struct.pack(f"<{1 + a.ndim}Q", a.ndim, *a.shape) + a.astype("<f4").tobytes())
//! ```

pub(super) use crate::canonical::sha256_hex as sha256;

/// A value with a byte order.
pub(super) trait Value: Copy {
    /// Appends its bytes, least significant first.
    fn put(self, bytes: &mut Vec<u8>);
}

impl Value for u8 {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl Value for u32 {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_le_bytes());
    }
}

impl Value for f32 {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_bits().to_le_bytes());
    }
}

impl Value for f64 {
    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend(self.to_bits().to_le_bytes());
    }
}

/// Digest of an array of `shape` with `values` in row-major order.
pub(super) fn digest<'a, T: Value + 'a>(
    shape: &[usize],
    values: impl IntoIterator<Item = &'a T>,
) -> String {
    let mut bytes = Vec::new();
    for n in std::iter::once(shape.len()).chain(shape.iter().copied()) {
        bytes.extend((n as u64).to_le_bytes());
    }
    let header = bytes.len();
    values.into_iter().for_each(|value| value.put(&mut bytes));
    let n: usize = shape.iter().product();
    assert_eq!(bytes.len() - header, n * size_of::<T>(), "{shape:?}");
    sha256(&bytes)
}

/// Digest of an array.
pub(super) fn digest_of<T: Value, D: ndarray::Dimension>(array: &ndarray::Array<T, D>) -> String {
    digest(array.shape(), array)
}

/// Lines `WHAT = NAME`, under a line that says what the table was drawn under.
#[derive(Default)]
pub(super) struct Table(Vec<(String, String)>);

impl Table {
    /// Adds a line.
    pub(super) fn add(&mut self, name: impl Into<String>, what: impl Into<String>) {
        self.0.push((name.into(), what.into()));
    }

    /// The lines.
    pub(super) fn lines(&self) -> &[(String, String)] {
        &self.0
    }

    /// Text of the table as it stands in its file.
    pub(super) fn text(&self, versions: &str) -> String {
        let lines = self.0.iter().map(|(name, what)| format!("{what} = {name}\n"));
        format!("{versions}\n{}", lines.collect::<String>())
    }

    /// What the first line of a table says, and its lines.
    pub(super) fn parse(text: &str) -> (&str, Self) {
        let (versions, lines) = text.split_once('\n').unwrap();
        let line = |line: &str| {
            let (what, name) = line.split_once(" = ").unwrap();
            (name.to_owned(), what.to_owned())
        };
        (versions, Self(lines.lines().map(line).collect()))
    }

    /// Names whose lines are not the same in `other`, whichever of the two has them.
    pub(super) fn moved(&self, other: &Self, same: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let find = |table: &Self, name: &str| {
            table.0.iter().find(|line| line.0 == name).map(|line| line.1.clone())
        };
        let names = self.0.iter().chain(&other.0).map(|line| line.0.clone());
        let differs = |name: &String| match (find(self, name), find(other, name)) {
            (Some(a), Some(b)) => !same(&a, &b),
            _ => true,
        };
        let mut moved: Vec<String> = names.filter(differs).collect();
        moved.sort_unstable();
        moved.dedup();
        moved
    }
}

/// Golden from Python's struct and hashlib, by the line in the module's text: `a = [[1, -2], [0.5, 3]]`, f32.
#[test]
fn the_encoding_is_the_documented_one() {
    let array = ndarray::arr2(&[[1.0_f32, -2.0], [0.5, 3.0]]);
    assert_eq!(
        digest_of(&array),
        "465a7e3eb508ce1694840f92163b0caeead782dc3dde767cbc7fb8d9b2f95429"
    );
    let transposed = array.t().to_owned();
    assert_ne!(digest_of(&transposed), digest_of(&array));
}
