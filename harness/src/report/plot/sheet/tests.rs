//! Tiles, ends and refusals of the sheet.

use super::*;
use crate::protocol::filtering::example;
use ndarray::array;

#[test]
fn a_map_uses_the_whole_scale_and_a_constant_map_none() {
    let map = coloured(&array![[1.0f32, 2.0], [3.0, 5.0]]);
    let ends = [style::sequential(0.0), style::sequential(1.0)];
    let at = |x, y| {
        let [r, g, b] = map.get_pixel(x, y).0;
        RGBColor(r, g, b)
    };
    assert_eq!([at(0, 0), at(1, 1)], ends);
    let flat = coloured(&array![[2.0f32, 2.0]]);
    assert_eq!(flat.get_pixel(0, 0), flat.get_pixel(1, 0));
}

#[test]
fn large_images_are_averaged_and_small_ones_are_exact() {
    let small =
        Array3::from_shape_fn((3, 4, 4), |(c, y, x)| u8::try_from(60 * c + 4 * y + x).unwrap());
    let drawn = photograph(&small);
    assert_eq!(drawn.dimensions(), (4, 4));
    assert_eq!(drawn.get_pixel(3, 1).0, [7, 67, 127]);
    let large = Array3::from_shape_fn((3, 256, 256), |(_, _, x)| if x % 2 == 0 { 10 } else { 20 });
    let drawn = photograph(&large);
    assert_eq!(drawn.dimensions(), (128, 128));
    assert_eq!(drawn.get_pixel(64, 64).0, [15, 15, 15]);
}

#[test]
fn many_methods_are_shown_with_fewer_images() {
    let of = |n: usize| -> Vec<Exhibit> {
        let ends = [RankEnd::MostCertain, RankEnd::LeastCertain];
        let places = (0..n).flat_map(|method| ends.map(|end| (method, end)));
        let images = places.flat_map(|(method, end)| (0..8).map(move |_| (method, end)));
        let like = example::exhibits().remove(0);
        let named =
            |(i, end): (usize, RankEnd)| Exhibit { method: format!("m{i}"), end, ..like.clone() };
        images.map(named).collect()
    };
    for (n, images) in [(8, 6), (9, 3)] {
        let sheet = Sheet::new(&of(n)).unwrap().unwrap();
        assert_eq!(sheet.strips.len(), n);
        for strip in &sheet.strips {
            assert_eq!([strip.certain.len(), strip.uncertain.len()], [images; 2]);
        }
    }
}

#[test]
fn images_and_maps_that_cannot_be_drawn_are_refused() {
    let mut grey = example::exhibits();
    grey[0].image = Array3::zeros((1, 8, 8));
    insta::assert_snapshot!(Sheet::new(&grey).unwrap_err(), @"exhibit of Score variance, sample 5: got an image [1, 8, 8], expected an image [3, H, W]: run `dubench verify` on the work folder");
    let mut nan = example::exhibits();
    nan[0].map = Some(array![[f32::NAN]]);
    assert!(Sheet::new(&nan).is_err());
    assert_eq!(Sheet::new(&[]).unwrap(), None);
}
