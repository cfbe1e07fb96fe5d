//! What a pickle of tensors can hold, and how its names are answered: no function of the file, or of anybody, runs.

use std::cell::RefCell;
use std::rc::Rc;

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    I64,
}

impl Kind {
    /// Bytes of one number.
    pub(super) fn width(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::I64 => 8,
        }
    }
}

/// A flat buffer of the file, by its key, and a view of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorView {
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) n_elements: u64,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// Attributes of an object of the archive, in their order.
pub(super) type Module = Rc<RefCell<Vec<(String, Value)>>>;

/// What the machine's stack holds.
#[derive(Clone)]
pub(super) enum Value {
    /// `None`.
    Nothing,
    Truth(bool),
    Integer(i64),
    Text(String),
    Tuple(Rc<[Value]>),
    List(Rc<RefCell<Vec<Value>>>),
    Dict(Rc<RefCell<Vec<(Value, Value)>>>),
    Name(Name),
    Module(Module),
    Storage(String, Kind, u64),
    Tensor(Rc<TensorView>),
}

/// A name that the machine answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    RebuildTensor,
    IntegerList,
    OrderedDict,
    /// A class of buffers.
    Storage(Kind),
    /// Any class of the archive's own code.
    Class,
}

/// A step of the machine, or why it ends the reading.
pub(super) type Step<T = ()> = Result<T, String>;

/// The name that the machine knows by these words.
pub(super) fn name(module: &str, name: &str) -> Step<Name> {
    match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Name::RebuildTensor),
        ("torch.jit._pickle", "build_intlist") => Ok(Name::IntegerList),
        ("torch", "FloatStorage") => Ok(Name::Storage(Kind::F32)),
        ("torch", "LongStorage") => Ok(Name::Storage(Kind::I64)),
        ("collections", "OrderedDict") => Ok(Name::OrderedDict),
        _ if module.starts_with("__torch__.") => Ok(Name::Class),
        _ => Err(format!("the pickle asks for {module}.{name}, which no weight file needs")),
    }
}

/// Answers a call of one of the names.
pub(super) fn call(function: &Value, arguments: &Value) -> Step<Value> {
    let Value::Tuple(arguments) = arguments else {
        return Err("the pickle calls without arguments".to_owned());
    };
    match (function, arguments.as_ref()) {
        (Value::Name(Name::IntegerList), [list @ Value::List(_)]) => Ok(list.clone()),
        (Value::Name(Name::OrderedDict), []) => Ok(Value::Dict(Rc::default())),
        (Value::Name(Name::RebuildTensor), [storage, offset, shape, strides, ..]) => {
            tensor(storage, offset, shape, strides)
                .ok_or_else(|| "the pickle describes a tensor without buffer or shape".to_owned())
        }
        _ => Err("the pickle calls what is no function of a weight file".to_owned()),
    }
}

fn tensor(storage: &Value, offset: &Value, shape: &Value, strides: &Value) -> Option<Value> {
    let Value::Storage(key, kind, n_elements) = storage else { return None };
    let view = TensorView {
        key: key.clone(),
        kind: *kind,
        n_elements: *n_elements,
        offset: size(offset)?,
        shape: sizes(shape)?,
        strides: sizes(strides)?,
    };
    Some(Value::Tensor(Rc::new(view)))
}

fn size(value: &Value) -> Option<u64> {
    let Value::Integer(number) = value else { return None };
    u64::try_from(*number).ok()
}

fn sizes(value: &Value) -> Option<Vec<u64>> {
    let Value::Tuple(items) = value else { return None };
    items.iter().map(size).collect()
}

/// A buffer by its persistent id; `torch.save` before 1.6 adds a part for views, which is empty.
pub(super) fn storage(identity: &Value) -> Step<Value> {
    if let Value::Tuple(parts) = identity
        && let [
            Value::Text(tag),
            Value::Name(Name::Storage(kind)),
            Value::Text(key),
            Value::Text(device),
            n,
        ]
        | [
            Value::Text(tag),
            Value::Name(Name::Storage(kind)),
            Value::Text(key),
            Value::Text(device),
            n,
            Value::Nothing,
        ] = parts.as_ref()
        && (tag.as_str(), device.as_str()) == ("storage", "cpu")
        && !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_digit())
        && let Some(n_elements) = size(n)
    {
        return Ok(Value::Storage(key.clone(), *kind, n_elements));
    }
    Err("the pickle refers to an unexpected storage".to_owned())
}

/// Gives the object on top its attributes. Those of a dict (`_metadata` of a state dict) are dropped.
pub(super) fn fill(top: Option<&Value>, state: &Value) -> Step {
    let Value::Dict(state) = state else {
        return Err("the pickle fills a module with what is no dict".to_owned());
    };
    let module = match top {
        Some(Value::Module(module)) => module,
        Some(Value::Dict(_)) => return Ok(()),
        _ => return Err("the pickle fills what is no module".to_owned()),
    };
    for (key, value) in state.borrow().iter() {
        let Value::Text(key) = key else {
            return Err("the pickle names an attribute by what is no text".to_owned());
        };
        module.borrow_mut().push((key.clone(), value.clone()));
    }
    Ok(())
}
