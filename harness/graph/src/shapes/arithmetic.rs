//! Element-wise arithmetic on known values.

use super::expr::Expr;
use super::value::Value;
use crate::proto::NodeProto;
use crate::tensor::ElementType;

/// What an element-wise operator makes of known values; `None` for other operators.
pub(super) fn evaluate(node: &NodeProto, inputs: &[&Value], element: ElementType) -> Option<Value> {
    let op = node.op_type.as_str();
    if op == "Cast" {
        return cast(inputs.first()?, element);
    }
    if op == "Where" {
        return select(inputs);
    }
    let value = match inputs {
        [only] => Value::broadcast(&[only], |e| unary(op, e[0]))?,
        [_, _] if is_binary(op) => {
            Value::broadcast(inputs, |e| binary(op, e[0], e[1], element.is_float()))?
        }
        _ if matches!(op, "Min" | "Max" | "Sum") => Value::broadcast(inputs, |e| fold(op, e))?,
        _ => return None,
    };
    Some(rounded(value, element))
}

/// To the precision of the operator: each step is exact in f64 and then rounded once, as a float unit does it.
fn rounded(mut value: Value, element: ElementType) -> Value {
    if element == ElementType::F32 {
        for e in value.elements.iter_mut().flatten() {
            #[expect(clippy::cast_possible_truncation, reason = "to the precision of f32")]
            let single = |v: f64| f64::from(v as f32);
            *e = Expr { per_batch: single(e.per_batch), fixed: single(e.fixed) };
        }
    }
    value
}

fn cast(value: &Value, to: ElementType) -> Option<Value> {
    let convert = |e: Expr| match to {
        ElementType::I64 | ElementType::I32 => e.truncated(),
        ElementType::Bool => e.equals(Expr::fixed(0.0)).map(|zero| truth(!zero)),
        ElementType::F32 | ElementType::F64 => Some(e),
        _ => None,
    };
    Some(rounded(Value::broadcast(&[value], |e| convert(e[0]))?, to))
}

fn select(inputs: &[&Value]) -> Option<Value> {
    let &[condition, yes, no] = inputs else { return None };
    Value::broadcast(&[condition, yes, no], |e| {
        e[0].equals(Expr::fixed(0.0)).map(|zero| if zero { e[2] } else { e[1] })
    })
}

fn truth(holds: bool) -> Expr {
    Expr::fixed(f64::from(u8::from(holds)))
}

fn unary(op: &str, e: Expr) -> Option<Expr> {
    match op {
        "Identity" | "Min" | "Max" | "Sum" => Some(e),
        "Neg" => Some(e.negative()),
        "Abs" => e.at_most(Expr::fixed(0.0)).map(|low| if low { e.negative() } else { e }),
        "Floor" => e.rounded(f64::floor),
        "Ceil" => e.rounded(f64::ceil),
        "Round" => e.constant().map(|v| Expr::fixed(v.round_ties_even())),
        "Sqrt" => e.constant().filter(|v| *v >= 0.0).map(|v| Expr::fixed(v.sqrt())),
        "Not" => e.equals(Expr::fixed(0.0)).map(truth),
        _ => None,
    }
}

fn is_binary(op: &str) -> bool {
    matches!(
        op,
        "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Mod"
            | "Equal"
            | "Less"
            | "LessOrEqual"
            | "Greater"
            | "GreaterOrEqual"
            | "And"
            | "Or"
    )
}

fn binary(op: &str, a: Expr, b: Expr, is_float: bool) -> Option<Expr> {
    match op {
        "Add" => Some(a.plus(b)),
        "Sub" => Some(a.minus(b)),
        "Mul" => a.times(b),
        "Div" if is_float => a.over(b),
        "Div" => a.whole_over(b),
        "Mod" => remainder(a, b),
        "Equal" => a.equals(b).map(truth),
        "LessOrEqual" => a.at_most(b).map(truth),
        "GreaterOrEqual" => b.at_most(a).map(truth),
        "Greater" => a.at_most(b).map(|low| truth(!low)),
        "Less" => b.at_most(a).map(|low| truth(!low)),
        "And" => Some(truth(!a.is(0.0) && !b.is(0.0))),
        "Or" => Some(truth(!a.is(0.0) || !b.is(0.0))),
        _ => None,
    }
}

/// Remainder of numbers of one sign, for which all its definitions agree.
fn remainder(a: Expr, b: Expr) -> Option<Expr> {
    let (a, b) = (a.constant()?, b.constant()?);
    (a >= 0.0 && b > 0.0).then(|| Expr::fixed(a % b))
}

fn fold(op: &str, elements: &[Expr]) -> Option<Expr> {
    let mut elements = elements.iter().copied();
    let first = elements.next()?;
    elements.try_fold(first, |a, b| match op {
        "Sum" => Some(a.plus(b)),
        "Min" => lesser(a, b).map(|low| if low { a } else { b }),
        _ => lesser(a, b).map(|low| if low { b } else { a }),
    })
}

/// Whether `a` is the lesser of two, for each batch size.
fn lesser(a: Expr, b: Expr) -> Option<bool> {
    let (low, high) = (a.at_most(b), b.at_most(a));
    if low == Some(true) || high == Some(false) {
        Some(true)
    } else if high == Some(true) || low == Some(false) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{ElementType, Expr, Value, evaluate};
    use crate::edit::int;
    use crate::proto::NodeProto;

    fn op(name: &str) -> NodeProto {
        NodeProto { op_type: name.to_owned(), ..NodeProto::default() }
    }

    fn one(name: &str, inputs: &[Expr], element: ElementType) -> Option<Expr> {
        let values: Vec<Value> = inputs.iter().map(|&e| Value::vector(vec![e])).collect();
        let values: Vec<&Value> = values.iter().collect();
        evaluate(&op(name), &values, element)?.elements[0]
    }

    #[test]
    fn integers_divide_towards_zero_and_floats_do_not() {
        let (seven, two) = (Expr::length(7), Expr::length(2));
        assert_eq!(one("Div", &[seven, two], ElementType::I64), Some(Expr::length(3)));
        assert_eq!(one("Div", &[seven, two], ElementType::F32), Some(Expr::fixed(3.5)));
        assert_eq!(one("Mod", &[seven, two], ElementType::I64), Some(Expr::length(1)));
    }

    #[test]
    fn floats_have_the_precision_of_their_type() {
        let third = one("Div", &[Expr::length(1), Expr::length(3)], ElementType::F32).unwrap();
        assert_eq!(third, Expr::fixed(f64::from(1.0f32 / 3.0)));
        let back = one("Mul", &[third, Expr::length(3)], ElementType::F32).unwrap();
        assert_eq!(back, Expr::fixed(f64::from(1.0f32 / 3.0 * 3.0)));
    }

    #[test]
    fn a_batch_is_never_minus_one() {
        let (batch, minus) = (Expr::batch(1), Expr::fixed(-1.0));
        let equal = one("Equal", &[batch, minus], ElementType::Bool).unwrap();
        assert_eq!(equal, Expr::fixed(0.0));
        assert_eq!(one("Where", &[equal, minus, batch], ElementType::I64), Some(batch));
        assert_eq!(one("Max", &[batch, Expr::length(1)], ElementType::I64), Some(batch));
        assert_eq!(one("Max", &[batch, Expr::length(2)], ElementType::I64), None);
    }

    #[test]
    fn casts_cut_fractions_off() {
        let mut node = op("Cast");
        node.attribute.push(int("to", 7));
        let half = Value::vector(vec![Expr::fixed(-2.5), Expr::batch(3)]);
        let cast = evaluate(&node, &[&half], ElementType::I64).unwrap();
        assert_eq!(cast.known().unwrap(), [Expr::fixed(-2.0), Expr::batch(3)]);
    }
}
