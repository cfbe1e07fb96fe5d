//! Published statistics as their makers lay them out, at four features.

use std::io::Cursor;
use std::path::PathBuf;

use ndarray::{Array1, Array2, Array4};
use ndarray_npy::NpzWriter;

use super::*;
use crate::stage::statistics::file::Covariance;

fn network(preprocess: Preprocess) -> ExtractorId {
    ExtractorId {
        name: "fid-inception".to_owned(),
        sha256: "7".repeat(64),
        preprocess: preprocess.as_str().to_owned(),
        dim: 4,
        output: Some("pool3".to_owned()),
        input_size: Some(299),
    }
}

/// `mu`, `sigma`, what sFID needs, and 5 images of `side` with their classes, as guided-diffusion has them; of `dim` features.
fn put(folder: &Path, name: &str, dim: usize, side: Option<usize>) -> PathBuf {
    let mut bytes = Vec::new();
    let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
    if let Some(side) = side {
        npz.add_array("arr_0", &Array4::<u8>::zeros((5, side, side, 3))).unwrap();
        npz.add_array("arr_1", &Array1::<i64>::zeros(5)).unwrap();
        npz.add_array("mu_s", &Array1::<f64>::zeros(3)).unwrap();
        npz.add_array("sigma_s", &Array2::<f64>::eye(3)).unwrap();
    }
    npz.add_array("mu", &Array1::from_elem(dim, 0.25)).unwrap();
    npz.add_array("sigma", &(Array2::<f64>::eye(dim) * 0.5)).unwrap();
    npz.finish().unwrap();
    let path = folder.join(name);
    crate::store::publish(&path, &bytes).unwrap();
    path
}

fn import(path: &Path, from: &str, said: &Said) -> Result<ReferenceStatistics, String> {
    let convention = Convention::find(from).unwrap();
    let imported = convention.import(path, said, network(convention.preprocess));
    imported.map_err(|error| {
        assert_eq!(crate::exit::Exits::exit(&error) as u8, 3, "{error}");
        error.to_string()
    })
}

#[test]
fn published_files_keep_their_convention_through_an_import() {
    let folder = tempfile::tempdir().unwrap();
    for known in PUBLISHED {
        let side = usize::try_from(known.size).unwrap();
        // The reference files of guided-diffusion alone hold images; small ones will do for the rest.
        let samples = (known.convention == "adm").then_some(side);
        let path = put(folder.path(), known.file, 4, samples);
        let imported = import(&path, known.convention, &Said::default()).unwrap();
        let out = folder.path().join("out.npz");
        imported.write(&out, Covariance::Upper).unwrap();
        let read = Statistics::read(&out).unwrap();
        assert_eq!((read.n, read.image_size), (Some(known.n), Some([known.size; 2])));
        assert_eq!(read.extractor.unwrap().preprocess, "torch-fidelity", "{}", known.file);
        assert_eq!((read.mu[3], read.sigma[[2, 2]]), (0.25, 0.5));
    }
}

#[test]
fn statistics_of_pytorch_fid_need_to_be_told_what_they_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = put(folder.path(), "mine.npz", 4, None);
    let mut said = Said::default();
    let refused = |said: &Said| import(&path, "pytorch-fid", said).unwrap_err();
    assert!(refused(&said).contains("add --size NUMBER"));
    said.size = Some(64);
    assert!(refused(&said).contains("add -n NUMBER"));
    said.n = Some(400);
    assert!(refused(&said).contains("add --dataset NAME"));
    said.dataset = Some("mine-train".to_owned());
    let imported = import(&path, "pytorch-fid", &said).unwrap();
    let images = imported.provenance.images.unwrap();
    assert_eq!(imported.provenance.extractor.preprocess, "pytorch-fid");
    assert_eq!((images.size, images.transform), (Some([64, 64]), None));
}

#[test]
fn statistics_that_are_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let name = "VIRTUAL_imagenet64_labeled.npz";
    let none = Said::default();
    let path = put(folder.path(), name, 4, Some(32));
    let size = import(&path, "adm", &none).unwrap_err();
    assert!(size.contains("its name says 64, its images 32"), "{size}");
    let maker = import(&path, "pytorch-fid", &none).unwrap_err();
    assert!(maker.contains("by adm, not by pytorch-fid"), "{maker}");
    let path = put(folder.path(), name, 3, Some(64));
    let dim = import(&path, "adm", &none).unwrap_err();
    assert!(dim.contains("mu has 3 values") && dim.contains("have 4"), "{dim}");
    let path = put(folder.path(), name, 4, Some(64));
    let said = Said { n: Some(50_000), ..Said::default() };
    let n = import(&path, "adm", &said).unwrap_err();
    assert!(n.contains("-n says 50000, its name 1281167"), "{n}");
    let out = folder.path().join("out.npz");
    import(&path, "adm", &none).unwrap().write(&out, Covariance::Full).unwrap();
    let again = import(&out, "adm", &none).unwrap_err();
    assert!(again.contains("says itself that its features are of fid-inception"), "{again}");
}
