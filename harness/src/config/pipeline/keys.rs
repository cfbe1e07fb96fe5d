//! The keys of a scheduler, taken one by one: what nobody has taken at the end is refused unless it is off.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::fault::Fault;

/// Keys of one file, with those that were looked at.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    object: &'a Map<String, Value>,
    seen: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, seen: BTreeSet::new(), faults: Vec::new() }
    }

    /// The value of a key; null counts as left out.
    fn take(&mut self, key: &str) -> Option<&'a Value> {
        self.seen.insert(key.to_owned());
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, key: &str, value: &Value, expected: &str) {
        self.faults.push(Fault::new(key, format!("is {value}, expected {expected}")));
    }

    pub(super) fn number(&mut self, key: &str, default: f64) -> f64 {
        let Some(value) = self.take(key) else { return default };
        value.as_f64().unwrap_or_else(|| {
            self.wrong(key, value, "a number");
            default
        })
    }

    pub(super) fn count(&mut self, key: &str, default: u32) -> u32 {
        let Some(value) = self.take(key) else { return default };
        value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_else(|| {
            self.wrong(key, value, "a whole number");
            default
        })
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.take(key) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.wrong(key, value, "true or false");
            default
        })
    }

    pub(super) fn word(&mut self, key: &str, default: &'static str) -> &'a str {
        let Some(value) = self.take(key) else { return default };
        value.as_str().unwrap_or_else(|| {
            self.wrong(key, value, "a word");
            default
        })
    }

    pub(super) fn numbers(&mut self, key: &str) -> Option<Vec<f64>> {
        let value = self.take(key)?;
        let list: Option<Vec<f64>> =
            value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        if list.is_none() {
            self.wrong(key, value, "null or a list of numbers");
        }
        list
    }

    /// A key that is understood at one value alone; `default` is what the class takes where the file says nothing.
    pub(super) fn only(&mut self, key: &str, default: Value, understood: &Value, remedy: &str) {
        let value = self.take(key).cloned().unwrap_or(default);
        let same = match (value.as_f64(), understood.as_f64()) {
            (Some(one), Some(other)) => one.total_cmp(&other).is_eq(),
            _ => value == *understood,
        };
        if !same {
            let message = format!("is {value}, and only {understood} is understood: {remedy}");
            self.faults.push(Fault::new(key, message));
        }
    }

    /// Keys that change nothing by themselves: they go with keys that are off, or belong to another class.
    pub(super) fn idle(&mut self, keys: &[&str]) {
        self.seen.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// The faults, with every key that was not looked at and is on.
    pub(super) fn close(mut self, class: &str) -> Vec<Fault> {
        for (key, value) in self.object {
            let off = matches!(value, Value::Null | Value::Bool(false));
            if key.starts_with('_') || off || self.seen.contains(key) {
                continue;
            }
            let message = format!(
                "is {value}, a key of {class} that is not understood and may change the result: choose a scheduler without it"
            );
            self.faults.push(Fault::new(key, message));
        }
        self.faults
    }
}
