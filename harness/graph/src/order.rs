//! Nodes in an order in which each comes after what it reads.
//!
//! ONNX asks for that order, runtimes do not: converters to half precision put their casts at the end of the list. The
//! passes read nodes front to back.

use std::collections::HashMap;

use super::proto::NodeProto;

/// Sorts nodes, those that stand right already where they are; `None` where some read each other in a circle.
pub(crate) fn sorted(nodes: Vec<NodeProto>) -> Option<Vec<NodeProto>> {
    let order = order(&nodes)?;
    let mut nodes: Vec<Option<NodeProto>> = nodes.into_iter().map(Some).collect();
    Some(order.into_iter().filter_map(|k| nodes.get_mut(k)?.take()).collect())
}

/// Where a node stands on the way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    /// What it reads is being placed.
    Open,
    Placed,
}

/// Depth first, without recursion: graphs are thousands of nodes deep.
fn order(nodes: &[NodeProto]) -> Option<Vec<usize>> {
    let outputs = nodes.iter().enumerate().flat_map(|(k, n)| n.output.iter().map(move |o| (o, k)));
    let producers: HashMap<&String, usize> = outputs.filter(|(o, _)| !o.is_empty()).collect();
    let mut marks = vec![Mark::Unseen; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        let mut stack = vec![start];
        while let Some(&k) = stack.last() {
            if marks[k] == Mark::Placed {
                stack.pop();
                continue;
            }
            let first_visit = marks[k] == Mark::Unseen;
            marks[k] = Mark::Open;
            let reads = nodes[k].input.iter().filter_map(|input| producers.get(input).copied());
            let missing: Vec<usize> = reads.filter(|&p| marks[p] != Mark::Placed).collect();
            if missing.is_empty() {
                marks[k] = Mark::Placed;
                order.push(k);
                stack.pop();
            } else if first_visit && missing.iter().all(|&p| marks[p] == Mark::Unseen) {
                stack.extend(missing.into_iter().rev());
            } else {
                return None;
            }
        }
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    use super::sorted;
    use crate::proto::NodeProto;

    fn node(name: &str, inputs: &[&str]) -> NodeProto {
        NodeProto {
            name: name.to_owned(),
            input: inputs.iter().map(|&i| i.to_owned()).collect(),
            output: vec![name.to_owned()],
            ..NodeProto::default()
        }
    }

    fn names(nodes: Vec<NodeProto>) -> Option<String> {
        Some(sorted(nodes)?.into_iter().map(|n| n.name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_stands_right_stays() {
        let nodes = vec![node("a", &["x"]), node("c", &["w"]), node("b", &["a", "c"])];
        assert_eq!(names(nodes).as_deref(), Some("a c b"));
    }

    #[test]
    fn what_is_read_comes_first() {
        // `d` is read by two that stand before it, and so is its own input.
        let nodes = vec![
            node("a", &["d"]),
            node("b", &["a", "d", "e"]),
            node("d", &["e", "x"]),
            node("e", &["x"]),
        ];
        assert_eq!(names(nodes).as_deref(), Some("e d a b"));
    }

    #[test]
    fn a_circle_has_no_order() {
        assert!(sorted(vec![node("a", &["b"]), node("b", &["c"]), node("c", &["a"])]).is_none());
        assert!(sorted(vec![node("a", &["a"])]).is_none());
        let tail = vec![node("y", &["a"]), node("a", &["b", "x"]), node("b", &["a"])];
        assert!(sorted(tail).is_none());
    }

    #[test]
    fn a_chain_of_many_nodes_in_reverse() {
        let n = 20_000;
        let nodes = (0..n).rev().map(|k| node(&format!("v{}", k + 1), &[&format!("v{k}")]));
        let sorted = sorted(nodes.collect()).unwrap();
        assert!(sorted.iter().enumerate().all(|(k, node)| node.name == format!("v{}", k + 1)));
    }
}
