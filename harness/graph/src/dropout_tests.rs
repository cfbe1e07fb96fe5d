//! Dropout sites: which there are, what their masks do, which graphs are refused.

use super::dropout::{KeepScale, MaskLayout, sites, to_mask_input};
use crate::dim::Dim;
use crate::model::Model;
use crate::tensor::{ElementType, Tensor, TensorData};
use crate::testing::{GraphUnderTest, noise, random_tensor, run, runner, values};

/// `y = dropout_0.2(dropout_0.5(x) * w)`, the second site flattened.
fn two_sites() -> Model {
    GraphUnderTest::new(&[2, 3])
        .random("w", &[2, 3])
        .floats("half", &[], &[0.5])
        .floats("fifth", &[], &[0.2])
        .weight("on", &[], TensorData::Bool(vec![true]))
        .ints("flat", &[-1, 6])
        .node("Dropout", &["x", "half", "on"], &["a", "unused"], vec![])
        .node("Mul", &["a", "w"], &["b"], vec![])
        .node("Reshape", &["b", "flat"], &["c"], vec![])
        .node("Dropout", &["c", "fifth", "on"], &["y"], vec![])
        .model()
}

fn masks(rows: usize, total: usize, seed: u64) -> Tensor {
    let bits = noise(rows * total, seed).iter().map(|&v| u8::from(v > 0.0)).collect();
    Tensor::new(vec![rows, total], TensorData::U8(bits)).unwrap()
}

#[test]
fn sites_lie_one_after_the_other_and_keep_their_probability() {
    let (model, layout) = to_mask_input(&two_sites(), KeepScale::OfNode, &runner()).unwrap();
    assert_eq!(layout.total, 12);
    assert_eq!((layout.sites[0].offset, layout.sites[0].shape.as_slice()), (0, &[2, 3][..]));
    assert_eq!((layout.sites[1].offset, layout.sites[1].shape.as_slice()), (6, &[6][..]));
    assert!((layout.sites[0].p - 0.5).abs() < 1e-7 && (layout.sites[1].p - 0.2).abs() < 1e-7);
    assert_eq!(MaskLayout::of(&model), Some(layout));
    assert!(model.graph().node.iter().all(|n| n.op_type != "Dropout"));
}

#[test]
fn a_masked_graph_is_the_product_of_its_masks_at_any_batch() {
    let plain = two_sites();
    let weights = plain.initializer("w").unwrap().unwrap();
    let w = values(&weights);
    let (model, _) = to_mask_input(&plain, KeepScale::OfNode, &runner()).unwrap();
    for rows in [1, 4] {
        let (x, m) = (random_tensor(&[rows, 2, 3], 3), masks(rows, 12, 4));
        let bits = m.to_i64().unwrap();
        let feeds = vec![("x".to_owned(), x.clone()), ("masks".to_owned(), m)];
        let y = run(&model, feeds, &["y"]).remove(0);
        for (i, &got) in values(&y).iter().enumerate() {
            let (row, k) = (i / 6, i % 6);
            let kept = (bits[row * 12 + k] * bits[row * 12 + 6 + k]) as f32;
            let expected = values(&x)[i] * 2.0 * w[k] * 1.25 * kept;
            assert!((got - expected).abs() <= 1e-6, "row {row}, element {k}: {got} and {expected}");
        }
    }
}

#[test]
fn masks_of_ones_and_a_keep_scale_of_one_change_nothing() {
    let (model, layout) = to_mask_input(&two_sites(), KeepScale::Input, &runner()).unwrap();
    let x = random_tensor(&[2, 2, 3], 5);
    let ones =
        Tensor::new(vec![2, layout.total], TensorData::U8(vec![1; 2 * layout.total])).unwrap();
    let feeds = |scale| {
        vec![
            ("x".to_owned(), x.clone()),
            ("masks".to_owned(), ones.clone()),
            ("keep_scale".to_owned(), Tensor::scalar_f32(scale)),
        ]
    };
    let plain = run(&model, feeds(1.0), &["y"]).remove(0);
    let w = two_sites().initializer("w").unwrap().unwrap();
    for (i, &got) in values(&plain).iter().enumerate() {
        assert!((got - values(&x)[i] * values(&w)[i % 6]).abs() <= 1e-6);
    }
    let scaled = run(&model, feeds(3.0), &["y"]).remove(0);
    for (a, b) in values(&plain).iter().zip(values(&scaled)) {
        assert!((9.0 * a - b).abs() <= 1e-5);
    }
}

#[test]
fn a_graph_without_dropout_is_refused() {
    let model = GraphUnderTest::new(&[3, 2]).node("Relu", &["x"], &["y"], vec![]).model();
    let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
    assert!(text.contains("no Dropout node: export the model in train mode"), "{text}");
}

/// diffusers exports its attention blocks with a dropout of 0 beside the resnets' own.
#[test]
fn a_site_of_probability_zero_drops_nothing_and_is_listed() {
    let model = GraphUnderTest::new(&[3, 1])
        .floats("zero", &[], &[0.0])
        .floats("tenth", &[], &[0.1])
        .weight("on", &[], TensorData::Bool(vec![true]))
        .node("Dropout", &["x", "zero", "on"], &["a"], vec![])
        .node("Dropout", &["a", "tenth", "on"], &["b"], vec![])
        .node("Dropout", &["b", "zero", "on"], &["y"], vec![])
        .model();
    let listed: Vec<f32> = sites(&model).unwrap().iter().map(|site| site.p).collect();
    assert_eq!(listed, [0.0, 0.1, 0.0]);
    let (masked, layout) = to_mask_input(&model, KeepScale::Input, &runner()).unwrap();
    assert_eq!(layout.sites.len(), 1);
    assert_eq!((layout.sites[0].node.as_str(), layout.sites[0].p), ("Dropout_1", 0.1));
    // The masks have no place for the others, and a keep scale of 4 is applied once.
    let mask = Tensor::new(vec![2, 3], TensorData::U8(vec![1, 0, 1, 0, 1, 1])).unwrap();
    let x = Tensor::new(vec![2, 3, 1], TensorData::F32(vec![1.0; 6])).unwrap();
    let feeds = vec![
        ("x".to_owned(), x),
        ("masks".to_owned(), mask),
        ("keep_scale".to_owned(), Tensor::scalar_f32(4.0)),
    ];
    let y = run(&masked, feeds, &["y"]).remove(0);
    assert_eq!(values(&y), [4.0, 0.0, 4.0, 0.0, 4.0, 4.0]);
}

#[test]
fn a_graph_whose_dropout_is_all_zero_is_refused() {
    let model = GraphUnderTest::new(&[3, 1])
        .floats("zero", &[], &[0.0])
        .node("Dropout", &["x", "zero"], &["y"], vec![])
        .model();
    let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
    assert!(text.contains("all 1 Dropout nodes have a ratio of 0"), "{text}");
}

#[test]
fn a_site_that_mixes_rows_is_refused_by_name() {
    let model = GraphUnderTest::new(&[2, 3])
        .node("Transpose", &["x"], &["a"], vec![crate::edit::ints("perm", &[1, 0, 2])])
        .node("Dropout", &["a"], &["y"], vec![])
        .model();
    let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
    assert!(
        text.contains("node Dropout_1 (Dropout)") && text.contains("the batch first"),
        "{text}"
    );
}

#[test]
fn a_second_image_like_input_is_no_hindrance() {
    let model = GraphUnderTest::new(&[2, 3])
        .input("context", ElementType::F32, &[Dim::Batch(1), Dim::Fixed(2), Dim::Fixed(3)])
        .node("Add", &["x", "context"], &["a"], vec![])
        .node("Dropout", &["a"], &["y"], vec![])
        .model();
    let (_, layout) = to_mask_input(&model, KeepScale::Input, &runner()).unwrap();
    assert_eq!(layout.sites[0].shape, [2, 3]);
}

#[test]
fn a_probability_from_an_input_is_refused() {
    let model = GraphUnderTest::new(&[2, 3])
        .input("rate", ElementType::F32, &[])
        .node("Dropout", &["x", "rate"], &["y"], vec![])
        .model();
    let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
    assert!(text.contains("ratio rate is no constant"), "{text}");
}

#[test]
fn an_input_called_masks_is_not_overwritten() {
    let model = GraphUnderTest::new(&[2, 3])
        .input("masks", ElementType::F32, &[Dim::Batch(1)])
        .node("Dropout", &["x"], &["y"], vec![])
        .model();
    let text = to_mask_input(&model, KeepScale::OfNode, &runner()).unwrap_err().to_string();
    assert!(text.contains("already has a value called masks"), "{text}");
}

/// As a converter to half precision leaves a train-mode graph: values and ratio in float16, the ends in float32.
#[test]
fn sites_in_half_precision_are_masked_in_half_precision() {
    let (half, single) = (ElementType::F16.to_onnx(), ElementType::F32.to_onnx());
    let mut model = GraphUnderTest::new(&[3, 1])
        .floats("ratio", &[], &[0.0])
        .weight("on", &[], TensorData::Bool(vec![true]))
        .node("Cast", &["x"], &["h"], vec![crate::edit::int("to", half.into())])
        .node("Dropout", &["h", "ratio", "on"], &["d"], vec![])
        .node("Cast", &["d"], &["y"], vec![crate::edit::int("to", single.into())])
        .model();
    // 0.5 is 0x3800 in float16.
    let ratio = &mut model.graph_mut().initializer[0];
    ratio.data_type = Some(half);
    ratio.raw_data = Some(vec![0x00, 0x38].into());
    assert_eq!(sites(&model).unwrap()[0].p, 0.5);
    let x =
        Tensor::new(vec![2, 3, 1], TensorData::F32((1..7).map(|v| v as f32).collect())).unwrap();
    for keep_scale in [KeepScale::OfNode, KeepScale::Input] {
        let (masked, _) = to_mask_input(&model, keep_scale, &runner()).unwrap();
        let mask = Tensor::new(vec![2, 3], TensorData::U8(vec![1, 0, 1, 0, 1, 1])).unwrap();
        let mut feeds = vec![("x".to_owned(), x.clone()), ("masks".to_owned(), mask)];
        if keep_scale == KeepScale::Input {
            feeds.push(("keep_scale".to_owned(), Tensor::scalar_f32(2.0)));
        }
        let y = run(&masked, feeds, &["y"]).remove(0);
        assert_eq!(values(&y), [2.0, 0.0, 6.0, 0.0, 10.0, 12.0]);
    }
}
