//! `Einsum`: products, sums and permutations by letters.
//!
//! With output letters `y`, the gradient of an operand is the einsum of `g` and the other operands, with the operand's own
//! letters as output: `ab,bc->ac` gives `ac,bc->ab` and `ab,ac->bc`. A letter that the operand alone has was summed: its
//! gradient is the same all along that axis.

use std::collections::HashMap;

use super::super::dim::Dim;
use super::super::edit::{ints, text};
use super::super::error::GraphError;
use super::super::reverse::{Call, Gradients, Reverse};
use super::{Rule, as_i64};

pub(crate) fn rule(op: &str) -> Option<Rule> {
    match op {
        "Einsum" => Some(einsum),
        _ => None,
    }
}

/// Letters of an equation.
struct Equation {
    operands: Vec<Vec<char>>,
    output: Vec<char>,
}

fn einsum(r: &mut Reverse, call: &Call<'_>) -> Result<Gradients, GraphError> {
    let equation = Equation::of(r, call)?;
    let mut out = Vec::new();
    for index in 0..equation.operands.len() {
        if r.is_active(call.input(index)) {
            out.push((index, equation.gradient(r, call, index)));
        }
    }
    Ok(out)
}

impl Equation {
    /// Reads the attribute and refuses what has no rule.
    fn of(r: &Reverse, call: &Call<'_>) -> Result<Self, GraphError> {
        let written = call.node.text_or("equation", "");
        let compact: String = written.split_whitespace().collect();
        let (inputs, output) = match compact.split_once("->") {
            Some((inputs, output)) => (inputs, Some(output)),
            None => (compact.as_str(), None),
        };
        let operands: Vec<Vec<char>> = inputs.split(',').map(|s| s.chars().collect()).collect();
        let output =
            output.map_or_else(|| implicit_output(&operands), |output| output.chars().collect());
        let refuse = |why: &str| Err(r.error(call, format!("equation {written:?} {why}")));
        if operands.iter().chain([&output]).any(|s| s.iter().any(|c| !c.is_ascii_alphabetic())) {
            return refuse("has no rule: letters alone have, write the axes of ... out");
        }
        if operands.iter().chain([&output]).any(|s| (1..s.len()).any(|k| s[..k].contains(&s[k]))) {
            return refuse("takes a diagonal, which has no rule: each letter once in an operand");
        }
        if operands.len() != call.node.input.len() {
            return refuse(&format!("does not fit {} operands", call.node.input.len()));
        }
        let mut lengths: HashMap<char, Dim> = HashMap::new();
        for (letters, input) in operands.iter().zip(&call.node.input) {
            let dims = r.shape(call, input)?;
            let differs = |(&c, &dim): (&char, &Dim)| *lengths.entry(c).or_insert(dim) != dim;
            if dims.len() != letters.len() || letters.iter().zip(&dims).any(differs) {
                return refuse(&format!("repeats {input} of axes {dims:?}, which has no rule"));
            }
        }
        Ok(Self { operands, output })
    }

    /// Gradient of operand `index`.
    fn gradient(&self, r: &mut Reverse, call: &Call<'_>, index: usize) -> String {
        let own = &self.operands[index];
        let others: Vec<usize> = (0..self.operands.len()).filter(|&k| k != index).collect();
        let known = |c: &char| {
            self.output.contains(c) || others.iter().any(|&k| self.operands[k].contains(c))
        };
        let kept: Vec<char> = own.iter().filter(|c| known(c)).copied().collect();
        let mut g = if others.is_empty() {
            permuted(r, call.g(), &self.output, &kept)
        } else {
            let word = |letters: &[char]| letters.iter().collect::<String>();
            let mut subscripts = vec![word(&self.output)];
            subscripts.extend(others.iter().map(|&k| word(&self.operands[k])));
            let backward = format!("{}->{}", subscripts.join(","), word(&kept));
            let mut operands = vec![call.g()];
            operands.extend(others.iter().map(|&k| call.input(k)));
            r.op_with("Einsum", &operands, vec![text("equation", &backward)])
        };
        let lone: Vec<i64> = (0..own.len()).filter(|&k| !known(&own[k])).map(as_i64).collect();
        if !lone.is_empty() {
            let axes = r.editor.vector(&lone);
            let apart = r.op("Unsqueeze", &[&g, &axes]);
            g = r.expanded(&apart, call.input(index));
        }
        g
    }
}

/// The letters that occur once, in the order of the alphabet.
fn implicit_output(operands: &[Vec<char>]) -> Vec<char> {
    let all: Vec<char> = operands.iter().flatten().copied().collect();
    let once = |c: &char| all.iter().filter(|other| *other == c).count() == 1;
    let mut output: Vec<char> = all.iter().filter(|c| once(c)).copied().collect();
    output.sort_unstable();
    output
}

/// Axes called `from` in the order of `to`, which has the same letters.
fn permuted(r: &mut Reverse, g: &str, from: &[char], to: &[char]) -> String {
    let place = |c: &char| as_i64(from.iter().position(|f| f == c).unwrap_or(0));
    let perm: Vec<i64> = to.iter().map(place).collect();
    r.op_with("Transpose", &[g], vec![ints("perm", &perm)])
}

#[cfg(test)]
mod tests {
    use crate::edit::text;
    use crate::rules::testing::{check, refused};
    use crate::testing::GraphUnderTest;

    fn equation(equation: &str) -> Vec<crate::proto::AttributeProto> {
        vec![text("equation", equation)]
    }

    /// `y = einsum(..)`, squared so that the gradient is not constant.
    fn squared(g: GraphUnderTest, inputs: &[&str], written: &str) -> GraphUnderTest {
        let g = g.node("Einsum", inputs, &["a"], equation(written));
        g.node("Mul", &["a", "a"], &["y"], vec![])
    }

    #[test]
    fn attention() {
        let g = GraphUnderTest::new(&[3, 4]);
        let g = g.node("Einsum", &["x", "x"], &["w"], equation("bct, bcs -> bts"));
        check(g.node("Einsum", &["w", "x"], &["y"], equation("bts,bcs->bct")));
    }

    #[test]
    fn one_operand_is_permuted_and_summed() {
        check(squared(GraphUnderTest::new(&[2, 1, 3, 2, 4]), &["x"], "nhwpqc->nchpwq"));
        check(squared(GraphUnderTest::new(&[3, 4]), &["x"], "bij->bj"));
        check(squared(GraphUnderTest::new(&[3, 4]), &["x"], "bij->b"));
        // Without an arrow the letters come in the order of the alphabet.
        check(squared(GraphUnderTest::new(&[3, 4]), &["x"], "bza"));
    }

    #[test]
    fn a_letter_of_one_operand_alone() {
        let g = GraphUnderTest::new(&[3, 4]);
        check(squared(g, &["x", "x"], "bct,bcs->bc"));
    }

    #[test]
    fn three_operands_and_weights() {
        let g = GraphUnderTest::new(&[3, 4]).random("w", &[3, 2]).random("v", &[4, 2, 5]);
        check(squared(g, &["x", "w", "v"], "bct,cd,tde->be"));
        let g = GraphUnderTest::new(&[3, 4]).random("w", &[3, 2]);
        check(squared(g, &["w", "x", "x"], "cd,bct,bcs->bdts"));
    }

    #[test]
    fn refusals_say_why() {
        let refusal = |dims: &[usize], written: &str| {
            refused(GraphUnderTest::new(dims).node("Einsum", &["x"], &["y"], equation(written)))
        };
        let text = refusal(&[3, 3], "bcc->bc");
        assert!(
            text.contains("node Einsum_0 (Einsum): equation \"bcc->bc\" takes a diagonal"),
            "{text}"
        );
        let text = refusal(&[3, 3], "b...->b...");
        assert!(text.contains("write the axes of ... out"), "{text}");
        let g = GraphUnderTest::new(&[3, 4]).random("w", &[1, 4]);
        let text = refused(g.node("Einsum", &["x", "w"], &["y"], equation("bct,ct->bct")));
        assert!(text.contains("repeats w of axes"), "{text}");
    }
}
