//! `plan --print`: every resolved value, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::Plan;

/// A plan as text: ids, sizes, then every resolved value by key path, one a line.
///
/// # Examples
/// ```
/// # use dubench::experiment::print::flatten;
/// let lines = flatten(&serde_json::json!({"sampler": {"kind": "ddim", "n_steps": 50}, "x": []}));
/// assert_eq!(lines, [("sampler.kind".into(), "ddim".into()),
///                    ("sampler.n_steps".into(), "50".into()), ("x".into(), "[]".into())]);
/// ```
pub fn plan_text(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{key:<32} {value}");
    };
    line("plan_id", &plan.id());
    line("generate_id", &plan.generate_id());
    line("features_id", &plan.features_id());
    line("n_blocks", &plan.n_blocks().to_string());
    let value = serde_json::to_value(plan).unwrap_or_default();
    for (key, value) in flatten(&value) {
        line(&key, &value);
    }
    out
}

/// Key path and value of every leaf, in key order.
pub fn flatten(value: &Value) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    walk(String::new(), value, &mut lines);
    lines
}

fn walk(path: String, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, item) in map {
                let dot = if path.is_empty() { "" } else { "." };
                walk(format!("{path}{dot}{key}"), item, lines);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                walk(format!("{path}[{index}]"), item, lines);
            }
        }
        Value::String(text) => lines.push((path, text.clone())),
        leaf => lines.push((path, leaf.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::tiny_plan;

    #[test]
    fn every_resolved_value_is_printed() {
        let text = plan_text(&tiny_plan());
        for part in ["work.arms[0].watch[0].n_draws", "sampler.grid.offset", "scale ", "n_blocks"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
