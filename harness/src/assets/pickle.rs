//! The part of the pickle format that a `TorchScript` file of tensors needs.
//!
//! A pickle is a program. This machine knows no function of anybody: it has the opcodes that `TorchScript` writes, four names
//! that it answers itself, and classes of the archive, which become bags of attributes. Everything else ends the reading.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Objects that may be remembered, at most: a number above it would fill memory.
const MAX_MEMO: usize = 1 << 20;

/// A flat f32 buffer of the archive, by its key, and a view of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorView {
    pub(super) key: String,
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
    /// `None`, a truth value: attributes that no tensor needs.
    Other,
    Integer(i64),
    Text(String),
    Tuple(Rc<[Value]>),
    List(Rc<RefCell<Vec<Value>>>),
    Dict(Rc<RefCell<Vec<(Value, Value)>>>),
    Name(Name),
    Module(Module),
    Storage(String, u64),
    Tensor(Rc<TensorView>),
}

/// A name that the machine answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    RebuildTensor,
    IntegerList,
    OrderedDict,
    FloatStorage,
    /// Any class of the archive's own code.
    Class,
}

type Step<T = ()> = Result<T, String>;

/// Runs `program` and gives the module that it leaves.
pub(super) fn read(program: &[u8]) -> Step<Module> {
    let mut machine =
        Machine { rest: program, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let opcode = machine.take(1)?[0];
        if opcode == b'.' {
            return match machine.pop()? {
                Value::Module(module) => Ok(module),
                _ => Err("the pickle holds no module".to_owned()),
            };
        }
        let known = machine.constant(opcode)?
            || machine.container(opcode)?
            || machine.memory(opcode)?
            || machine.object(opcode)?;
        if !known {
            return Err(format!(
                "the pickle uses the opcode {opcode:#04x}, which no weight file needs"
            ));
        }
    }
}

struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<usize, Value>,
}

impl<'a> Machine<'a> {
    fn constant(&mut self, opcode: u8) -> Step<bool> {
        let value = match opcode {
            0x80 => {
                self.take(1)?;
                return Ok(true);
            }
            b'N' | 0x88 | 0x89 => Value::Other,
            b'J' => {
                let bytes = self.take(4)?;
                Value::Integer(i64::from(i32::from_le_bytes([
                    bytes[0], bytes[1], bytes[2], bytes[3],
                ])))
            }
            b'K' => Value::Integer(i64::from(self.take(1)?[0])),
            b'M' => {
                let bytes = self.take(2)?;
                Value::Integer(i64::from(u16::from_le_bytes([bytes[0], bytes[1]])))
            }
            b'X' => {
                let length = self.unsigned(4)?;
                let bytes = self.take(length)?;
                Value::Text(String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())?)
            }
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    fn container(&mut self, opcode: u8) -> Step<bool> {
        match opcode {
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.stack.push(Value::Tuple(Rc::from([]))),
            0x85..=0x87 => {
                let items = self.last(usize::from(opcode - 0x84))?;
                self.stack.push(Value::Tuple(items.into()));
            }
            b't' => {
                let items = self.marked()?;
                self.stack.push(Value::Tuple(items.into()));
            }
            b']' => self.stack.push(Value::List(Rc::default())),
            b'}' => self.stack.push(Value::Dict(Rc::default())),
            b'e' => {
                let items = self.marked()?;
                let Some(Value::List(list)) = self.stack.last() else {
                    return Err("the pickle appends to what is no list".to_owned());
                };
                list.borrow_mut().extend(items);
            }
            b'u' => {
                let items = self.marked()?;
                let Some(Value::Dict(dict)) = self.stack.last() else {
                    return Err("the pickle sets an item of what is no dict".to_owned());
                };
                let mut dict = dict.borrow_mut();
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn memory(&mut self, opcode: u8) -> Step<bool> {
        let index = match opcode {
            b'q' | b'h' => self.unsigned(1)?,
            b'r' | b'j' => self.unsigned(4)?,
            _ => return Ok(false),
        };
        if matches!(opcode, b'q' | b'r') {
            if index > MAX_MEMO {
                return Err(format!("the pickle remembers object number {index}"));
            }
            let value = self.stack.last().ok_or("the pickle remembers nothing")?.clone();
            self.memo.insert(index, value);
        } else {
            let value =
                self.memo.get(&index).ok_or("the pickle recalls what it never had")?.clone();
            self.stack.push(value);
        }
        Ok(true)
    }

    fn object(&mut self, opcode: u8) -> Step<bool> {
        let value = match opcode {
            b'c' => Value::Name(name(self.line()?, self.line()?)?),
            b'Q' => storage(&self.pop()?)?,
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                call(&function, &arguments)?
            }
            0x81 => {
                let (_, class) = (self.pop()?, self.pop()?);
                let Value::Name(Name::Class) = class else {
                    return Err("the pickle makes an object of what is no class".to_owned());
                };
                Value::Module(Rc::default())
            }
            b'b' => {
                let state = self.pop()?;
                let Some(Value::Module(module)) = self.stack.last() else {
                    return Err("the pickle fills what is no module".to_owned());
                };
                fill(module, &state)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.stack.push(value);
        Ok(true)
    }

    fn take(&mut self, n: usize) -> Step<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or("the pickle ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, n: usize) -> Step<usize> {
        Ok(self.take(n)?.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte)))
    }

    fn line(&mut self) -> Step<&'a str> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let bytes = self.take(end.ok_or("the pickle ends in a name")?)?;
        self.take(1)?;
        std::str::from_utf8(bytes).map_err(|error| error.to_string())
    }

    fn pop(&mut self) -> Step<Value> {
        self.last(1)?.pop().ok_or_else(|| "the pickle's stack is empty".to_owned())
    }

    /// The last n values, none of which lies below a mark.
    fn last(&mut self, n: usize) -> Step<Vec<Value>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(n) {
            Some(start) if start >= floor => Ok(self.stack.split_off(start)),
            _ => Err("the pickle's stack is empty".to_owned()),
        }
    }

    fn marked(&mut self) -> Step<Vec<Value>> {
        let start = self.marks.pop().ok_or("the pickle closes what it never opened")?;
        Ok(self.stack.split_off(start))
    }
}

fn name(module: &str, name: &str) -> Step<Name> {
    match (module, name) {
        ("torch._utils", "_rebuild_tensor_v2") => Ok(Name::RebuildTensor),
        ("torch.jit._pickle", "build_intlist") => Ok(Name::IntegerList),
        ("torch", "FloatStorage") => Ok(Name::FloatStorage),
        ("collections", "OrderedDict") => Ok(Name::OrderedDict),
        _ if module.starts_with("__torch__.") => Ok(Name::Class),
        _ => Err(format!("the pickle asks for {module}.{name}, which no weight file needs")),
    }
}

fn call(function: &Value, arguments: &Value) -> Step<Value> {
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
    let Value::Storage(key, n_elements) = storage else { return None };
    let view = TensorView {
        key: key.clone(),
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

fn storage(identity: &Value) -> Step<Value> {
    if let Value::Tuple(parts) = identity
        && let [
            Value::Text(tag),
            Value::Name(Name::FloatStorage),
            Value::Text(key),
            Value::Text(device),
            n,
        ] = parts.as_ref()
        && (tag.as_str(), device.as_str()) == ("storage", "cpu")
        && !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_digit())
        && let Some(n_elements) = size(n)
    {
        return Ok(Value::Storage(key.clone(), n_elements));
    }
    Err("the pickle refers to an unexpected storage".to_owned())
}

fn fill(module: &Module, state: &Value) -> Step {
    let Value::Dict(state) = state else {
        return Err("the pickle fills a module with what is no dict".to_owned());
    };
    for (key, value) in state.borrow().iter() {
        let Value::Text(key) = key else {
            return Err("the pickle names an attribute by what is no text".to_owned());
        };
        module.borrow_mut().push((key.clone(), value.clone()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's own `pickletools.dis` shows of a module with one attribute `w`, written by hand.
    fn program(name: &str) -> Vec<u8> {
        let mut bytes = format!("\u{2}c{name}\n)").into_bytes();
        bytes.insert(0, 0x80);
        bytes.push(0x81);
        bytes.extend(b"}(X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((");
        bytes
            .extend(b"X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x007X\x03\0\0\0cpuK\x06tQ");
        bytes.extend(b"K\0K\x02K\x03\x86K\x03K\x01\x86tRub.");
        bytes
    }

    #[test]
    fn a_tensor_of_a_module_is_read() {
        let module = read(&program("__torch__.net\nNet")).unwrap();
        let module = module.borrow();
        let [(name, Value::Tensor(view))] = module.as_slice() else { panic!("one tensor") };
        let expected = TensorView {
            key: "7".to_owned(),
            n_elements: 6,
            offset: 0,
            shape: vec![2, 3],
            strides: vec![3, 1],
        };
        assert_eq!((name.as_str(), view.as_ref()), ("w", &expected));
    }

    #[test]
    fn what_no_weight_file_needs_ends_the_reading() {
        for name in ["os\nsystem", "builtins\neval", "__torch__\nNet", "torch\nload"] {
            let error = read(&program(name)).err().unwrap();
            assert!(error.contains("asks for"), "{name}: {error}");
        }
        // INST, an opcode that runs what it names.
        let error = read(b"(ios\nsystem\n.").err().unwrap();
        assert!(error.contains("opcode 0x69"), "{error}");
    }

    #[test]
    fn no_program_that_is_cut_or_changed_makes_the_machine_panic() {
        let whole = program("__torch__.net\nNet");
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end} bytes");
        }
        for at in 0..whole.len() {
            for value in [0, b'.', b'(', b'R', b'b', b'Q', 0x81, 0xff] {
                let mut changed = whole.clone();
                changed[at] = value;
                let _ = read(&changed);
            }
        }
    }
}
