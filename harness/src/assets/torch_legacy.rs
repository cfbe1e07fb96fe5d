//! The tensors of a state dict as `torch.save` wrote it before version 1.6.
//!
//! Five pickles in a row (magic number, protocol, the machine, the state dict, the keys of its buffers), then the buffers, each
//! an i64 count and the raw values. The pickles are read by `pickle`, which runs nothing of theirs.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::pickle;
use super::pickle_value::{Kind, TensorView, Value};
use super::torchscript::Tensor;

/// The first pickle: the number 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const PROTOCOL: i64 = 1001;
/// How many batches training saw: whole numbers, which no network needs.
const COUNTER: &str = ".num_batches_tracked";

type Views = BTreeMap<String, Rc<TensorView>>;
type Read<T> = Result<T, String>;

/// All f32 tensors by their names; counters of batches are left out.
///
/// # Errors
/// A text that says where the file is something else, cut off, or damaged.
pub(super) fn read(file: &[u8]) -> Read<BTreeMap<String, Tensor>> {
    let rest = file.strip_prefix(MAGIC).ok_or("is no file of torch.save before version 1.6")?;
    let (protocol, rest) = pickle::load(rest)?;
    let (machine, rest) = pickle::load(rest)?;
    if !matches!(protocol, Value::Integer(PROTOCOL)) || !is_little_endian(&machine) {
        return Err(format!("is of another protocol than {PROTOCOL}, or big-endian"));
    }
    let (tree, rest) = pickle::load(rest)?;
    let (keys, rest) = pickle::load(rest)?;
    let views = state_dict(&tree)?;
    let buffers = buffers(rest, &keys, &views)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in &views {
        match view.kind {
            Kind::F32 => {
                let raw = buffers.get(&view.key).copied().unwrap_or_default();
                let tensor = window(view, raw).ok_or_else(|| {
                    let (shape, n) = (&view.shape, view.n_elements);
                    format!("{name} of shape {shape:?} reaches out of its buffer of {n} values")
                })?;
                tensors.insert(name.clone(), tensor);
            }
            Kind::I64 if name.ends_with(COUNTER) => {}
            Kind::I64 => return Err(format!("{name} holds whole numbers, expected f32")),
        }
    }
    Ok(tensors)
}

fn is_little_endian(machine: &Value) -> bool {
    let Value::Dict(facts) = machine else { return false };
    facts.borrow().iter().any(
        |fact| matches!(fact, (Value::Text(name), Value::Truth(true)) if name == "little_endian"),
    )
}

fn state_dict(tree: &Value) -> Read<Views> {
    let Value::Dict(entries) = tree else { return Err("holds no state dict".to_owned()) };
    let mut views = Views::new();
    for entry in entries.borrow().iter() {
        let (Value::Text(name), Value::Tensor(view)) = entry else {
            return Err("holds an entry that is no tensor, expected a state dict".to_owned());
        };
        if views.insert(name.clone(), Rc::clone(view)).is_some() {
            return Err(format!("holds {name} twice"));
        }
    }
    Ok(views)
}

/// The raw values of each buffer, which follow each other in the order of `keys`.
fn buffers<'a>(
    mut rest: &'a [u8],
    keys: &Value,
    views: &Views,
) -> Read<BTreeMap<String, &'a [u8]>> {
    let mut wanted = BTreeMap::new();
    for (name, view) in views {
        let buffer = (view.kind, view.n_elements);
        if wanted.insert(view.key.clone(), buffer).is_some_and(|other| other != buffer) {
            return Err(format!("{name} takes buffer {} for another than it is", view.key));
        }
    }
    let Value::List(keys) = keys else { return Err("has no list of buffers".to_owned()) };
    let mut found = BTreeMap::new();
    for key in keys.borrow().iter() {
        let Value::Text(key) = key else { return Err("names a buffer by no text".to_owned()) };
        let (kind, n) = wanted.remove(key).ok_or_else(|| format!("no tensor has buffer {key}"))?;
        let raw;
        (raw, rest) = split_buffer(rest, kind, n).ok_or_else(|| {
            format!("buffer {key} should hold {n} values: the file is cut off or damaged")
        })?;
        found.insert(key.clone(), raw);
    }
    match (wanted.keys().next(), rest.len()) {
        (None, 0) => Ok(found),
        (Some(key), _) => Err(format!("lacks buffer {key}")),
        (None, n) => Err(format!("has {n} bytes behind its buffers")),
    }
}

/// A buffer at the head of `bytes`, and what is behind it.
fn split_buffer(bytes: &[u8], kind: Kind, n_elements: u64) -> Option<(&[u8], &[u8])> {
    let (count, values) = bytes.split_first_chunk()?;
    let n_bytes = usize::try_from(n_elements.checked_mul(kind.width())?).ok()?;
    (u64::from_le_bytes(*count) == n_elements).then_some(values)?.split_at_checked(n_bytes)
}

/// The values of a view in row-major order, whatever the order of its buffer; none for one that reaches out of it, is empty,
/// or has more values than the buffer.
fn window(view: &TensorView, raw: &[u8]) -> Option<Tensor> {
    if view.shape.len() != view.strides.len() {
        return None;
    }
    let (mut count, mut last) = (1_u64, view.offset);
    for (&extent, stride) in view.shape.iter().zip(&view.strides) {
        count = count.checked_mul(extent)?;
        last = last.checked_add(extent.checked_sub(1)?.checked_mul(*stride)?)?;
    }
    if count > view.n_elements || last >= view.n_elements {
        return None;
    }
    let axes = view.shape.iter().zip(&view.strides);
    let places = axes.fold(vec![view.offset], |places, (&extent, &stride)| {
        places.iter().flat_map(|&place| (0..extent).map(move |i| place + i * stride)).collect()
    });
    let value = |place: u64| {
        let bytes = raw.get(usize::try_from(place).ok()?.checked_mul(4)?..)?.first_chunk()?;
        Some(f32::from_le_bytes(*bytes))
    };
    let extent = |&extent: &u64| usize::try_from(extent).ok();
    Some(Tensor {
        shape: view.shape.iter().map(extent).collect::<Option<_>>()?,
        values: places.into_iter().map(value).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `torch.save(.., _use_new_zipfile_serialization=False)` of torch 2.15: `w`, the transpose of `arange(6)` as 2x3 in
    /// f32, and the counter `bn.num_batches_tracked`, 3.
    fn file() -> Vec<u8> {
        let pickles: [&[u8]; 11] = [
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00(X\x10\x00\x00\x00protocol_version",
            b"q\x01M\xe9\x03X\r\x00\x00\x00little_endianq\x02\x88X\n\x00\x00\x00type_sizesq\x03}q\x04(X\x05\x00\x00\x00short",
            b"q\x05K\x02X\x03\x00\x00\x00intq\x06K\x04X\x04\x00\x00\x00longq\x07K\x04uu.",
            b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00wq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03",
            b"((X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x0e\x00\x00\x0094916982838112q\x06X\x03\x00\x00\x00cpu",
            b"q\x07K\x06Ntq\x08QK\x00K\x03K\x02\x86q\tK\x01K\x03\x86q\n\x89h\x00)Rq\x0btq\x0cRq\r",
            b"X\x16\x00\x00\x00bn.num_batches_trackedq\x0eh\x03((h\x04ctorch\nLongStorage\nq\x0fX\x0e\x00\x00\x0094916982838256",
            b"q\x10h\x07K\x01Ntq\x11QK\x00))\x89h\x00)Rq\x12tq\x13Rq\x14u.",
            b"\x80\x02]q\x00(X\x0e\x00\x00\x0094916982838112q\x01X\x0e\x00\x00\x0094916982838256q\x02e.",
            b"\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80?\x00\x00\x00@\x00\x00@@\x00\x00\x80@\x00\x00\xa0@",
            b"\x01\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00",
        ];
        pickles.concat()
    }

    /// The file with some bytes replaced by as many others.
    fn with(from: &[u8], to: &[u8]) -> Vec<u8> {
        let mut bytes = file();
        let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to);
        bytes
    }

    #[test]
    fn tensors_are_read_in_row_major_order() {
        let tensors = read(&file()).unwrap();
        let expected = Tensor { shape: vec![3, 2], values: vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0] };
        assert_eq!(tensors.into_iter().collect::<Vec<_>>(), [("w".to_owned(), expected)]);
    }

    #[test]
    fn what_is_cut_off_changed_or_something_else_is_named() {
        let whole = file();
        let error = |bytes: &[u8]| read(bytes).unwrap_err();
        let cut = error(&whole[..whole.len() - 17]);
        assert_eq!(
            cut,
            "buffer 94916982838112 should hold 6 values: the file is cut off or damaged"
        );
        assert!(error(&whole[..whole.len() - 1]).contains("buffer 94916982838256"));
        assert_eq!(error(&[whole.as_slice(), b"more"].concat()), "has 4 bytes behind its buffers");
        assert!(error(b"PK\x03\x04").contains("is no file of torch.save before version 1.6"));
        let big = with(b"little_endianq\x02\x88", b"little_endianq\x02\x89");
        assert!(error(&big).contains("or big-endian"));
        let out = with(b"K\x00K\x03K\x02\x86", b"K\x01K\x03K\x02\x86");
        assert_eq!(error(&out), "w of shape [3, 2] reaches out of its buffer of 6 values");
        let whole_numbers = with(b"batches_tracked", b"batches_watched");
        assert!(error(&whole_numbers).contains("bn.num_batches_watched holds whole numbers"));
        let code = with(b"_rebuild_tensor_v2", b"_rebuild_tensor_v9");
        assert!(error(&code).contains("asks for torch._utils._rebuild_tensor_v9"));
    }

    #[test]
    fn no_file_that_is_cut_or_changed_makes_the_reader_panic() {
        let whole = file();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end} bytes");
        }
        for at in 0..whole.len() {
            for value in [0, b'.', b'(', b'R', b's', b'b', b'Q', 0x81, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = read(&changed);
            }
        }
    }
}
