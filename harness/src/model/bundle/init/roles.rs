//! Which graph of a folder is the network.

use std::path::Path;

use super::super::files::fault;
use super::{Graphs, Hints};
use crate::graph::{Model, dropout};
use crate::model::ModelError;

/// Graphs that are parts of other models, never the network itself.
const OTHER_PARTS: [&str; 4] = ["decoder", "encoder", "vjp", "masked"];

/// Files of the forward and of the train-mode graph. A graph with live `Dropout` nodes is one of training.
///
/// # Errors
/// [`ModelError::Bundle`] where no graph, or more than one, could be the network, or there is none of the given name.
pub(super) fn roles<'a>(
    folder: &Path,
    graphs: &'a Graphs,
    hints: &Hints,
) -> Result<(&'a str, Option<&'a str>), ModelError> {
    let live = |model: &Model| dropout::sites(model).is_ok_and(|s| s.iter().any(|s| s.p > 0.0));
    let parts = |name: &str| OTHER_PARTS.iter().any(|part| name.contains(part));
    let (mut forward, mut train): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (name, model) in graphs.iter().filter(|(name, _)| !parts(name)) {
        if live(model) { train.push(name) } else { forward.push(name) }
    }
    let names: Vec<&str> = graphs.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(given) = &hints.graph {
        forward = names.iter().copied().filter(|name| name == given).collect();
        train.retain(|name| name != given);
    }
    match (&forward[..], &hints.graph) {
        ([forward], _) => Ok((forward, train.first().copied().filter(|_| train.len() == 1))),
        ([], Some(given)) => {
            let message =
                format!("--graph {given}: there is no such graph, but {}", names.join(", "));
            Err(fault(folder, message))
        }
        ([], None) => Err(fault(folder, none(&names, &train))),
        (several, _) => {
            let message = format!(
                "of the graphs {}, more than one can be the forward graph ({}): name it by --graph",
                names.join(", "),
                several.join(", ")
            );
            Err(fault(folder, message))
        }
    }
}

/// Why none of the graphs is the network, and what to do.
fn none(names: &[&str], train: &[&str]) -> String {
    if train.is_empty() {
        return format!(
            "of the graphs {}, none can be the forward graph: by their names ({}) they are parts of other models: export it beside them, or name it by --graph",
            names.join(", "),
            OTHER_PARTS.join(", ")
        );
    }
    format!(
        "{} can only be a graph of training, since its Dropout nodes are live: export the network in evaluation mode too, beside it; MC-Dropout then takes this one",
        train.join(", ")
    )
}
