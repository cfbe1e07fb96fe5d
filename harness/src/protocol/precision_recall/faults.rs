//! What can be wrong with the experiment of a Table 4.

use super::PrecisionRecall;
use super::rankings::OWN;
use crate::config::values::{random_subsets, required};
use crate::config::{Common, ScaleConfig};
use crate::fault::Fault;
use crate::protocol::filtering::{is_taken, pool_faults};

pub(super) fn faults(table: &PrecisionRecall, common: &Common) -> Vec<Fault> {
    let mut faults = Vec::new();
    pool_faults(common, &OWN, &mut faults);
    required(common, ["features", "reference"], "supports are compared in features", &mut faults);
    random_subsets("protocol.n_random", table.n_random, &mut faults);
    if !(1..=1000).contains(&table.k) {
        let message =
            format!("neighbour {} of a point: use 1 to 1000 (the paper's code: 3)", table.k);
        faults.push(Fault::new("protocol.k", message));
    }
    if table.n_keep != 0 {
        let message = "every scale keeps its own number: leave it out, say it under scales";
        faults.push(Fault::new("protocol.n_keep", message));
    }
    if let Some(generative) = &table.generative_uncertainty {
        let own = generative.faults(&|name| is_taken(common, &OWN, name)).into_iter();
        faults.extend(own.map(|fault| fault.below("protocol")));
    }
    for (name, scale) in &common.scales {
        neighbours(&format!("scales.{name}"), (table.k, scale), &mut faults);
    }
    faults
}

/// Both sides have a k-th neighbour.
fn neighbours(key: &str, (k, scale): (u32, &ScaleConfig), faults: &mut Vec<Fault>) {
    for (field, n) in [("n_real", scale.n_real), ("n_keep", scale.n_keep)] {
        if let Some(n) = n.filter(|n| *n <= u64::from(k)) {
            let message =
                format!("of {n} images none has a neighbour number {k} (protocol.k): take more");
            faults.push(Fault::new(format!("{key}.{field}"), message));
        }
    }
}
