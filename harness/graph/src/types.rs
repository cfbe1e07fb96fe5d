//! Element types of all values, by the operators' own rules.

use std::collections::HashMap;

use super::model::Model;
use super::proto::NodeProto;
use super::tensor::ElementType;

/// Element type of each value that can be known; values of unknown operators inherit their first
/// input's type, which is what most operators do.
pub(crate) fn element_types(model: &Model) -> HashMap<String, ElementType> {
    let mut types: HashMap<String, ElementType> = model
        .inputs()
        .into_iter()
        .map(|port| (port.name, port.element))
        .chain(
            model
                .graph()
                .initializer
                .iter()
                .map(|t| (t.name.clone(), ElementType::from_onnx(t.data_type.unwrap_or(0)))),
        )
        .collect();
    for node in &model.graph().node {
        for (index, output) in node.output.iter().enumerate() {
            if let Some(element) = output_type(node, index, &types) {
                types.insert(output.clone(), element);
            }
        }
    }
    types
}

fn output_type(
    node: &NodeProto,
    index: usize,
    types: &HashMap<String, ElementType>,
) -> Option<ElementType> {
    let of_input = |k: usize| node.input_at(k).and_then(|name| types.get(name)).copied();
    match (node.op_type.as_str(), index) {
        ("Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero", _) | ("TopK", 1) => {
            Some(ElementType::I64)
        }
        (
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Not" | "And" | "Or"
            | "Xor" | "IsNaN" | "IsInf",
            _,
        )
        | ("Dropout", 1) => Some(ElementType::Bool),
        ("Cast", _) => Some(ElementType::from_onnx(i32::try_from(node.int_or("to", 0)).ok()?)),
        ("Where" | "CastLike", _) => of_input(1),
        ("ConstantOfShape", _) => {
            let value = node.find("value").and_then(|a| a.t.as_ref());
            Some(
                value
                    .map_or(ElementType::F32, |t| ElementType::from_onnx(t.data_type.unwrap_or(1))),
            )
        }
        ("Constant", _) => {
            let attribute = node.attribute.first()?;
            match attribute.name.as_str() {
                "value" => Some(ElementType::from_onnx(attribute.t.as_ref()?.data_type?)),
                "value_int" | "value_ints" => Some(ElementType::I64),
                "value_float" | "value_floats" => Some(ElementType::F32),
                _ => None,
            }
        }
        ("RandomNormal" | "RandomUniform", _) => {
            Some(ElementType::from_onnx(i32::try_from(node.int_or("dtype", 1)).ok()?))
        }
        _ => of_input(0),
    }
}
