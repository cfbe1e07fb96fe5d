//! What the axes of arrays mean: pairs that are no pairs, pools, maps and holes.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use ndarray::{Array, Array1, Array3, Array4, Axis, Dimension, s};
use ndarray_npy::{WritableElement, WriteNpyExt};

use crate::support::{Ended, Folder};

fn put<T: WritableElement + Clone, D: Dimension>(folder: &Folder, name: &str, array: &Array<T, D>) {
    let mut bytes = Vec::new();
    array.as_standard_layout().write_npy(&mut bytes).unwrap();
    folder.bytes(name, &bytes);
}

/// Errors and uncertainties `[3, 3, 6, 5]`.
fn pair() -> [Array4<f64>; 2] {
    let weyl = |k: usize| (k as f64 * 2.0_f64.sqrt()).fract();
    let error =
        Array4::from_shape_fn((3, 3, 6, 5), |(n, c, y, x)| weyl(n * 90 + c * 30 + y * 5 + x + 1));
    let map = Array4::from_shape_fn((3, 3, 6, 5), |(n, c, y, x)| {
        let k = n * 90 + c * 30 + y * 5 + x + 1;
        weyl(k) + 0.4 * weyl(7 * k + 3)
    });
    [error, map]
}

/// Runs the metric; refusals speak in text.
fn text(folder: &Folder, error: &str, map: &str, more: &[&str]) -> Ended {
    let call = ["metric", "sparsification", "--error", error, "--uncertainty", map];
    folder.dubench(&[&call, more].concat())
}

fn run(folder: &Folder, error: &str, map: &str, more: &[&str]) -> Ended {
    text(folder, error, map, &[more, &["--format", "json"]].concat())
}

fn ause(ended: &Ended) -> f64 {
    ended.json()["ause"].as_f64().unwrap()
}

/// AUSE of one ranking by its definition: the mean over all numbers of pixels kept.
fn by_definition(error: &[f64], map: &[f64]) -> f64 {
    let area = |key: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..error.len()).collect();
        order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
        let mut sum = 0.0;
        let curve = order.iter().enumerate().map(|(k, &i)| {
            sum += error[i] * error[i];
            (sum / (k + 1) as f64).sqrt()
        });
        curve.sum::<f64>() / error.len() as f64
    };
    area(&|i| map[i]) - area(&|i| error[i].abs())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-12
}

#[test]
fn arrays_of_other_pixels_are_no_pair() {
    let folder = Folder::new();
    let [error, map] = pair();
    put(&folder, "nchw.npy", &error);
    put(&folder, "nhwc.npy", &map.clone().permuted_axes([0, 2, 3, 1]));
    put(&folder, "flat.npy", &map.to_shape((3, 90)).unwrap().to_owned());
    put(&folder, "grey.npy", &map.mean_axis(Axis(1)).unwrap());
    for map in ["nhwc.npy", "flat.npy", "grey.npy"] {
        text(&folder, "nchw.npy", map, &[]).fails(3, &["[3, 3, 6, 5]", "same pixels"]);
    }
}

#[test]
fn axes_of_length_one_do_not_count() {
    let folder = Folder::new();
    let [error, map] = pair();
    let error: Array3<f64> = error.slice_move(s![.., 0, .., ..]);
    put(&folder, "nhw.npy", &error);
    put(&folder, "n1hw.npy", &map.slice(s![.., ..1, .., ..]).to_owned());
    put(&folder, "nhw1.npy", &map.slice(s![.., 0, .., ..]).insert_axis(Axis(3)).to_owned());
    let (a, b) =
        (run(&folder, "nhw.npy", "n1hw.npy", &[]), run(&folder, "nhw.npy", "nhw1.npy", &[]));
    assert_eq!(a.json(), b.json());
    let expected: f64 = (0..3)
        .map(|n| {
            let map = map.slice(s![n, 0, .., ..]);
            let pixels = |a: ndarray::ArrayView2<f64>| a.iter().copied().collect::<Vec<_>>();
            by_definition(&pixels(error.index_axis(Axis(0), n)), &pixels(map)) / 3.0
        })
        .sum();
    assert!(close(ause(&a), expected), "{} {expected}", ause(&a));
}

#[test]
fn one_axis_is_one_pool_and_of_two_the_caller_is_asked() {
    let folder = Folder::new();
    let [error, map] = pair();
    let flat = |a: &Array4<f64>| Array1::from_iter(a.iter().copied());
    for (name, array) in [("error", &error), ("map", &map)] {
        put(&folder, &format!("{name}_4d.npy"), array);
        put(&folder, &format!("{name}_1d.npy"), &flat(array));
        put(&folder, &format!("{name}_2d.npy"), &array.slice(s![0, 0, .., ..]).to_owned());
        put(&folder, &format!("{name}_pixel.npy"), &array.slice(s![.., ..1, ..1, ..1]).to_owned());
    }
    let pooled = by_definition(&flat(&error).to_vec(), &flat(&map).to_vec());
    let one = run(&folder, "error_1d.npy", "map_1d.npy", &[]);
    assert!(close(ause(&one), pooled), "{}", one.stdout);
    assert_eq!(
        (one.json()["n_images"].as_u64(), one.json()["n_pixels"].as_u64()),
        (Some(1), Some(270))
    );
    assert!(one.json()["ause_se"].is_null());
    let all = run(&folder, "error_4d.npy", "map_4d.npy", &["--pool", "all"]);
    assert!(close(ause(&all), pooled), "{}", all.stdout);

    text(&folder, "error_2d.npy", "map_2d.npy", &[])
        .fails(3, &["--layout map", "6 x 5", "--layout rows", "6 images of 5"]);
    let first = |a: &Array4<f64>| a.slice(s![0, 0, .., ..]).to_owned();
    let (e, u) = (first(&error), first(&map));
    let map = run(&folder, "error_2d.npy", "map_2d.npy", &["--layout", "map"]);
    let pixels = |a: &ndarray::Array2<f64>| a.iter().copied().collect::<Vec<_>>();
    assert!(close(ause(&map), by_definition(&pixels(&e), &pixels(&u))));
    let rows = run(&folder, "error_2d.npy", "map_2d.npy", &["--layout", "rows"]);
    let each = (0..6).map(|i| by_definition(&e.row(i).to_vec(), &u.row(i).to_vec()) / 6.0);
    assert!(close(ause(&rows), each.sum()));
    assert_eq!(rows.json()["n_images"].as_u64(), Some(6));
    text(&folder, "error_4d.npy", "map_4d.npy", &["--layout", "map"]).fails(3, &["two axes"]);
    text(&folder, "error_2d.npy", "map_2d.npy", &["--layout", "hw"]).fails(2, &["rows or map"]);

    // One pixel an image ranks nothing within it.
    text(&folder, "error_pixel.npy", "map_pixel.npy", &[])
        .fails(3, &["one pixel an image", "--pool all"]);
    assert_eq!(run(&folder, "error_pixel.npy", "map_pixel.npy", &["--pool", "all"]).code, 0);
}

#[test]
fn pixels_that_are_nan_are_left_out_where_that_is_asked_for() {
    let folder = Folder::new();
    let [mut error, map] = pair();
    let (valid_error, valid_map) =
        (error.slice(s![.., .., 2.., ..]).to_owned(), map.slice(s![.., .., 2.., ..]).to_owned());
    error.slice_mut(s![.., .., ..2, ..]).fill(f64::NAN);
    put(&folder, "error.npy", &error);
    put(&folder, "map.npy", &map);
    put(&folder, "valid_error.npy", &valid_error);
    put(&folder, "valid_map.npy", &valid_map);
    text(&folder, "error.npy", "map.npy", &[]).fails(3, &["NaN", "--ignore nan"]);
    for pool in ["image", "all"] {
        for preset in
            [&[][..], &["--preset", "mono-uncertainty"], &["--preset", "torch-uncertainty"]]
        {
            let more = [&["--pool", pool], preset].concat();
            let masked =
                run(&folder, "error.npy", "map.npy", &[&more[..], &["--ignore", "nan"]].concat())
                    .json();
            let valid = run(&folder, "valid_error.npy", "valid_map.npy", &more).json();
            for key in ["ause", "aurg", "rmse", "ause_se", "aurg_se", "n_images", "curve"] {
                assert_eq!(masked[key], valid[key], "{key} {more:?}");
            }
            assert_eq!(masked["n_ignored"].as_u64(), Some(90));
        }
    }
}
