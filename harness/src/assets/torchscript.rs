//! The tensors of a `TorchScript` archive: a zip of `ROOT/data.pkl`, the tree of modules, and `ROOT/data/KEY`, their numbers.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::rc::Rc;

use zip::ZipArchive;

use super::pickle;
use super::pickle_value::{Kind, Module, TensorView, Value};

/// Largest tree of modules that is read.
const MAX_TREE_BYTES: u64 = 4 << 20;

/// An f32 tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// All tensors of the archive, by their dotted path in the tree of modules.
pub(super) fn read(archive: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let mut zip =
        ZipArchive::new(Cursor::new(archive)).map_err(|e| format!("is no zip archive: {e}"))?;
    let trees: Vec<String> = zip
        .file_names()
        .filter(|name| name.ends_with("/data.pkl") && name.matches('/').count() == 1)
        .map(str::to_owned)
        .collect();
    let [tree] = trees.as_slice() else {
        return Err(format!("holds {} module trees, expected 1 data.pkl", trees.len()));
    };
    let program = entry(&mut zip, tree, MAX_TREE_BYTES)?;
    let root = tree.trim_end_matches("/data.pkl");
    let mut tensors = BTreeMap::new();
    for (name, view) in walk(&pickle::read(&program)?)? {
        let bytes = 4 * elements(&view)
            .ok_or_else(|| format!("{name} is not the whole of an f32 buffer"))?;
        let raw = entry(&mut zip, &format!("{root}/data/{}", view.key), bytes)?;
        if raw.len() as u64 != bytes {
            return Err(format!("{name} has {} bytes, its shape needs {bytes}", raw.len()));
        }
        tensors.insert(name, tensor(&view, &raw));
    }
    Ok(tensors)
}

/// Number of elements of a view that is the whole of its f32 buffer, in row-major order.
fn elements(view: &TensorView) -> Option<u64> {
    let mut step: u64 = 1;
    for (extent, stride) in view.shape.iter().zip(&view.strides).rev() {
        if *stride != step {
            return None;
        }
        step = step.checked_mul(*extent)?;
    }
    let whole = view.kind == Kind::F32
        && view.offset == 0
        && view.shape.len() == view.strides.len()
        && step == view.n_elements;
    (whole && step < 1 << 28).then_some(step)
}

fn tensor(view: &TensorView, raw: &[u8]) -> Tensor {
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Tensor {
        shape: view.shape.iter().filter_map(|&extent| usize::try_from(extent).ok()).collect(),
        values: raw.chunks_exact(4).map(number).collect(),
    }
}

/// An entry of at most `limit` bytes.
fn entry(zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let file = zip.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 > limit {
        return Err(format!("{name} has more than {limit} bytes"));
    }
    Ok(bytes)
}

/// Every tensor of the tree with its path. A module that holds itself is refused.
fn walk(tree: &Module) -> Result<Vec<(String, Rc<TensorView>)>, String> {
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    let mut pending = vec![(String::new(), Rc::clone(tree))];
    while let Some((prefix, module)) = pending.pop() {
        if seen.iter().any(|other| Rc::ptr_eq(other, &module)) {
            return Err(format!("the module `{prefix}` occurs twice in the tree"));
        }
        for (name, value) in module.borrow().iter() {
            match value {
                Value::Module(inner) => {
                    pending.push((format!("{prefix}{name}."), Rc::clone(inner)));
                }
                Value::Tensor(view) => found.push((format!("{prefix}{name}"), Rc::clone(view))),
                _ => {}
            }
        }
        seen.push(module);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[u64], strides: &[u64], n_elements: u64) -> TensorView {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        TensorView { key: "0".to_owned(), kind: Kind::F32, n_elements, offset: 0, shape, strides }
    }

    #[test]
    fn only_whole_buffers_in_row_major_order_are_tensors() {
        assert_eq!(elements(&view(&[2, 3], &[3, 1], 6)), Some(6));
        assert_eq!(elements(&view(&[], &[], 1)), Some(1));
        assert_eq!(elements(&view(&[2, 3], &[1, 2], 6)), None, "column-major");
        assert_eq!(elements(&view(&[2, 3], &[3, 1], 7)), None, "a part of its buffer");
        assert_eq!(
            elements(&view(&[1 << 40, 1 << 40], &[1 << 40, 1], 6)),
            None,
            "more than there is"
        );
        assert_eq!(elements(&TensorView { kind: Kind::I64, ..view(&[6], &[1], 6) }), None);
        assert_eq!(elements(&TensorView { offset: 1, ..view(&[6], &[1], 6) }), None);
    }

    #[test]
    fn a_module_that_holds_itself_is_refused() {
        let module: Module = Rc::default();
        module.borrow_mut().push(("again".to_owned(), Value::Module(Rc::clone(&module))));
        assert!(walk(&module).unwrap_err().contains("occurs twice"));
        module.borrow_mut().clear();
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(read(b"not a zip").unwrap_err().contains("is no zip archive"));
    }
}
