//! The part of the pickle format that a file of tensors needs, a `TorchScript` archive or a state dict of `torch.save`.
//!
//! A pickle is a program. This machine knows no function of anybody: it has the opcodes that those files hold, five names
//! that it answers itself (`pickle_value`), and classes of the archive, which become bags of attributes. Everything else ends
//! the reading.

use std::collections::HashMap;
use std::rc::Rc;

use super::pickle_value::{Module, Name, Step, Value, call, fill, name, storage};

/// Objects that may be remembered, at most: a number above it would fill memory.
const MAX_MEMO: usize = 1 << 20;

/// Runs `program` and gives the module that it leaves.
pub(super) fn read(program: &[u8]) -> Step<Module> {
    match load(program)?.0 {
        Value::Module(module) => Ok(module),
        _ => Err("the pickle holds no module".to_owned()),
    }
}

/// Runs the program at the head of `bytes`; gives the value that it leaves, and the bytes behind it.
pub(super) fn load(bytes: &[u8]) -> Step<(Value, &[u8])> {
    let mut machine =
        Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    loop {
        let opcode = machine.take(1)?[0];
        if opcode == b'.' {
            return Ok((machine.pop()?, machine.rest));
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
            b'N' => Value::Nothing,
            0x88 | 0x89 => Value::Truth(opcode == 0x88),
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
            b's' => {
                let items = self.last(2)?;
                self.set(items)?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set(items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Sets items of the dict on top: key, value, key, value.
    fn set(&mut self, items: Vec<Value>) -> Step {
        let Some(Value::Dict(dict)) = self.stack.last() else {
            return Err("the pickle sets an item of what is no dict".to_owned());
        };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            dict.borrow_mut().push((key, value));
        }
        Ok(())
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
                fill(self.stack.last(), &state)?;
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

#[cfg(test)]
mod tests {
    use super::super::pickle_value::{Kind, TensorView};
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
            kind: Kind::F32,
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
