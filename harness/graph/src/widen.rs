//! Half-precision weights that a `Cast` makes float32 before anything reads them: stored in half the bytes, computed with in float32.

use std::collections::HashSet;

use half::{bf16, f16};

use super::proto::{GraphProto, NodeProto, TensorProto};
use super::tensor::{ElementType, Tensor, TensorData, shape_of};

/// The half-precision weight that `node` casts to float32; `None` for any other node.
pub(crate) fn widened_by<'a>(graph: &'a GraphProto, node: &NodeProto) -> Option<&'a TensorProto> {
    let to = i64::from(ElementType::F32.to_onnx());
    if !node.is_standard() || node.op_type != "Cast" || node.int_or("to", 0) != to {
        return None;
    }
    let input = node.input_at(0)?;
    graph.initializer.iter().find(|weight| weight.name == input && is_half(weight))
}

fn is_half(weight: &TensorProto) -> bool {
    let element = ElementType::from_onnx(weight.data_type.unwrap_or(0));
    matches!(element, ElementType::F16 | ElementType::Bf16)
}

/// Elements of a half-precision weight of these bytes, or in its typed field; float32 holds both kinds of half exactly.
pub(crate) fn values(weight: &TensorProto, raw: &[u8]) -> Vec<f32> {
    let brain = ElementType::from_onnx(weight.data_type.unwrap_or(0)) == ElementType::Bf16;
    let value = |bits: u16| {
        if brain { bf16::from_bits(bits).to_f32() } else { f16::from_bits(bits).to_f32() }
    };
    let in_bytes = raw.as_chunks::<2>().0.iter().map(|pair| value(u16::from_le_bytes(*pair)));
    let typed = weight.int32_data.iter().filter_map(|bits| u16::try_from(*bits).ok()).map(value);
    in_bytes.chain(typed).collect()
}

/// A half-precision weight of these bytes in float32; the text of the error says what does not fit.
pub(crate) fn widened(weight: &TensorProto, raw: &[u8]) -> Result<Tensor, String> {
    let (shape, values) = (shape_of(weight)?, values(weight, raw));
    let n = values.len();
    Tensor::new(shape.clone(), TensorData::F32(values))
        .ok_or_else(|| format!("holds {n} elements, its shape {shape:?} asks for another number"))
}

/// Names of half-precision weights that nothing reads but `Cast`s to float32.
pub(crate) fn only_stored(graph: &GraphProto) -> HashSet<&str> {
    let (casts, others): (Vec<_>, Vec<_>) =
        graph.node.iter().partition(|node| widened_by(graph, node).is_some());
    let mut stored: HashSet<&str> =
        casts.iter().filter_map(|node| Some(widened_by(graph, node)?.name.as_str())).collect();
    let read = others.iter().flat_map(|node| &node.input);
    for name in read.chain(graph.output.iter().map(|output| &output.name)) {
        stored.remove(name.as_str());
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::{TensorProto, values, widened};

    /// 1, -2, 65504 and the smallest number above 0 of binary16; 1, -2, 3.4e38 and a NaN of bfloat16.
    #[test]
    fn both_kinds_of_half_are_exact_in_bytes_and_in_the_typed_field() {
        let bits = [0x3C00_u16, 0xC000, 0x7BFF, 0x0001];
        let expected = [1.0, -2.0, 65504.0, 2.0_f32.powi(-24)];
        let raw: Vec<u8> = bits.iter().flat_map(|b| b.to_le_bytes()).collect();
        let half = TensorProto { dims: vec![4], data_type: Some(10), ..TensorProto::default() };
        assert_eq!(values(&half, &raw), expected);
        let int32_data = bits.map(i32::from).to_vec();
        assert_eq!(values(&TensorProto { int32_data, ..half.clone() }, &[]), expected);
        let brain = TensorProto { data_type: Some(16), ..half.clone() };
        let raw: Vec<u8> =
            [0x3F80_u16, 0xC000, 0x7F7F, 0x7FC0].iter().flat_map(|b| b.to_le_bytes()).collect();
        let got = values(&brain, &raw);
        assert_eq!(got[..3], [1.0, -2.0, f32::from_bits(0x7F7F_0000)]);
        assert!(got[3].is_nan());
        assert!(widened(&half, &raw[..6]).unwrap_err().contains("holds 3 elements"));
    }
}
