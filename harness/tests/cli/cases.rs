//! Inputs that people have and that were once misread: each one, and the test that holds it.
//!
//! | input | test |
//! |---|---|
//! | features in f16, f64, big-endian, Fortran order, integers, `[n, d, 1, 1]`; `.npz` with `feats`; statistics compressed, without n, with n of other types, mu as a row; n copies of one image | `files::features_and_statistics_in_every_form_have_the_distance_of_numpy` |
//! | statistics without n on both sides | `files` too, and here |
//! | images in u8 where features are expected | `files::images_serve_where_features_do`; beside features of another size, here |
//! | errors and maps of unequal shape, of one axis, of two axes, with NaN | `shapes` |
//! | a folder with PNG, JPEG under `.JPG`, WebP in a subfolder, a JPEG called `.png`, `._*` of macOS | here; every format by itself: `stage::statistics::folder::tests` |
//! | YAML with a byte order mark | `files::a_byte_order_mark_before_an_experiment_changes_nothing` |
//! | a reader that closes the pipe | `files::a_reader_that_has_enough_is_no_error` |
//! | `Einsum` of one operand (DiT) | `dubench-graph`, `rules::einsum::tests::one_operand_is_permuted_and_summed` |
//! | float16 inside, f32 at the ends (U-ViT) | `dubench-graph`, `robustness::half_precision_weights_have_a_gradient` |
//! | operator set 22 | `dubench-graph`, `checks::tests::other_operator_sets_are_refused` (13 to 25 are taken) |
//! | slices over the batch, as guidance inside the graph has them | `dubench-graph`, `rules::slice` |
//! | a third input, such as text | refused by name: `model::onnx::denoiser_tests::graphs_that_do_not_fit_are_refused_by_name_before_any_work` |
//! | `Dropout` of ratio 0 in a training export | `dubench-graph`, `dropout_tests` |
//! | messages that were found poor | `messages`; KID below 1,000 images: `sizes::kernel_distances` |

use std::path::Path;

use ndarray::Array4;
use ndarray_npy::WriteNpyExt;

use crate::files::extractor;
use crate::support::{Folder, features};

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files").join(name)
}

#[test]
fn a_folder_of_every_kind_is_whole() {
    let folder = Folder::new();
    let network = extractor(&folder);
    std::fs::create_dir_all(folder.path("mixed/sub")).unwrap();
    for (from, to) in [
        ("rgb.png", "0.png"),
        ("grey.JPG", "1.JPG"),
        ("444_q100.jpeg", "2.jpeg"),
        ("liar.png", "liar.png"),
        ("lossless.webp", "sub/3.webp"),
        ("lzw.tif", "sub/4.tif"),
        ("rgb.bmp", "sub/5.BMP"),
    ] {
        std::fs::copy(data("images").join(from), folder.path("mixed").join(to)).unwrap();
    }
    folder.bytes("mixed/._0.png", &[0, 5, 22, 7, 0, 2, 0, 0]);
    folder.npy("real.npy", &features(40, 4, 0.0));
    let call = ["metric", "fid", "--real", "real.npy", "--fake", "mixed"];
    let network: Vec<&str> = network.iter().map(String::as_str).collect();
    let answer = folder.dubench(&[&call[..], &network].concat()).json();
    assert_eq!(answer["n_fake"].as_u64(), Some(7), "{answer}");
    assert!(answer["notes"].to_string().contains("mixed: 1 hidden files left out"), "{answer}");
}

#[test]
fn images_beside_features_of_another_size_are_refused_with_both_files() {
    let folder = Folder::new();
    let network = extractor(&folder);
    folder.npy("features.npy", &features(60, 16, 0.0));
    let mut bytes = Vec::new();
    Array4::from_shape_fn((9, 8, 8, 3), |(n, y, x, c)| {
        u8::try_from((n * 31 + y * 7 + x * 5 + c * 3) % 256).unwrap()
    })
    .write_npy(&mut bytes)
    .unwrap();
    folder.bytes("images.npy", &bytes);
    let call = ["metric", "fid", "--real", "features.npy", "--fake", "images.npy"];
    let network: Vec<&str> = network[..2].iter().map(String::as_str).collect();
    folder.dubench(&[&call[..], &network].concat()).fails(
        3,
        &["features.npy has 16 features an image, images.npy 4", "features of one network"],
    );
}

#[test]
fn statistics_without_a_number_of_images_have_a_distance_and_no_error_bar() {
    let folder = Folder::new();
    let compressed = data("arrays/stats_compressed.npz").display().to_string();
    let call = ["metric", "fid", "--real", &compressed, "--fake", &compressed, "--format", "json"];
    let answer = folder.dubench(&call).json();
    assert_eq!(answer["fid"].as_f64(), Some(0.0));
    for key in ["se", "bias", "fid_inf", "fid_inf_se", "n_real", "n_fake"] {
        assert!(answer[key].is_null(), "{key}: {answer}");
    }
}
