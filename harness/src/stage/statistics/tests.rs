//! Statistics over images in memory and features that can be worked out by hand.

use super::file::Covariance;
use std::ops::Range;
use std::path::Path;

use ndarray::{Array2, Array4, ArrayView4, Axis, s};

use super::array_images::ArrayImages;
use super::open::open;
use super::{
    BLOCK_IMAGES, ImageSource, ReferenceStatistics, StatisticsError, WorkFolder, features, reduce,
};
use crate::model::{ExtractorId, FeatureExtractor, ModelError};
use crate::store::statistics::Statistics;

/// Images in memory.
struct Memory(Array4<u8>);

impl ImageSource for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn len(&self) -> usize {
        self.0.dim().0
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        Ok(self.0.slice(s![range, .., .., ..]).to_owned())
    }
}

/// The three channel means; counts the images that it was asked for and may fail at one of them.
struct Means {
    id: ExtractorId,
    n_asked: usize,
    fails_after: usize,
}

fn means() -> Means {
    let id = ExtractorId {
        name: "means".to_owned(),
        sha256: "0".repeat(64),
        preprocess: "none".to_owned(),
        dim: 3,
        output: None,
        input_size: None,
    };
    Means { id, n_asked: 0, fails_after: usize::MAX }
}

impl FeatureExtractor for Means {
    fn id(&self) -> &ExtractorId {
        &self.id
    }

    fn extract(&mut self, images: ArrayView4<'_, u8>) -> Result<Array2<f32>, ModelError> {
        self.n_asked += images.dim().0;
        if self.n_asked > self.fails_after {
            let (context, message) = ("means".to_owned(), "stopped".to_owned());
            return Err(ModelError::Runtime { context, message });
        }
        let values = images.mapv(f32::from);
        Ok(values.mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap())
    }
}

fn images(n: usize) -> Array4<u8> {
    Array4::from_shape_fn((n, 3, 2, 2), |(b, c, h, w)| {
        u8::try_from((b * 31 + c * 7 + h * 3 + w * b) % 251).unwrap()
    })
}

fn work(folder: &Path) -> WorkFolder<'_> {
    WorkFolder { folder, made_by: "test" }
}

fn statistics(
    folder: &Path,
    n: usize,
    extractor: &mut Means,
) -> Result<ReferenceStatistics, StatisticsError> {
    let mut source = Memory(images(n));
    let blocks = features(&mut source, extractor, &work(folder), &mut |_| {})?;
    reduce("memory", &extractor.id, &blocks)
}

#[test]
fn mean_and_covariance_are_those_of_the_features() {
    let folder = tempfile::tempdir().unwrap();
    let n = 2 * BLOCK_IMAGES + 5;
    let got = statistics(folder.path(), n, &mut means()).unwrap();
    let rows = means().extract(images(n).view()).unwrap().mapv(f64::from);
    let mu = rows.mean_axis(Axis(0)).unwrap();
    let centred = &rows - &mu;
    let sigma = centred.t().dot(&centred) / (n - 1) as f64;
    assert_eq!(got.n, n);
    assert!((&got.mu - &mu).iter().all(|d| d.abs() < 1e-9));
    assert!((&got.sigma - &sigma).iter().all(|d| d.abs() < 1e-8));
}

#[test]
fn a_stopped_run_goes_on_where_it_was_and_ends_in_the_same_bytes() {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let n = 3 * BLOCK_IMAGES;
    statistics(whole.path(), n, &mut means())
        .unwrap()
        .write(&whole.path().join("s.npz"), Covariance::Full)
        .unwrap();
    let mut failing = Means { fails_after: 2 * BLOCK_IMAGES, ..means() };
    assert!(statistics(stopped.path(), n, &mut failing).is_err());
    let mut second = means();
    let resumed = statistics(stopped.path(), n, &mut second).unwrap();
    assert_eq!(second.n_asked, BLOCK_IMAGES, "finished blocks are not computed again");
    resumed.write(&stopped.path().join("s.npz"), Covariance::Full).unwrap();
    let bytes = |folder: &tempfile::TempDir| std::fs::read(folder.path().join("s.npz")).unwrap();
    assert_eq!(bytes(&whole), bytes(&stopped));
}

#[test]
fn a_damaged_block_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = statistics(folder.path(), 10, &mut means()).unwrap();
    let path = folder.path().join("features-00000.npy");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    crate::store::publish(&path, &bytes).unwrap();
    let mut again = means();
    assert_eq!(statistics(folder.path(), 10, &mut again).unwrap(), first);
    assert_eq!(again.n_asked, 10);
}

#[test]
fn features_of_other_images_or_another_network_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    statistics(folder.path(), 10, &mut means()).unwrap();
    let mut other = means();
    other.id.preprocess = "clean-fid".to_owned();
    let error = statistics(folder.path(), 10, &mut other).unwrap_err().to_string();
    assert!(error.contains("the extractor is") && error.contains("another work folder"), "{error}");
    let mut source = Memory(images(10).mapv(|v| v ^ 1));
    let error = features(&mut source, &mut means(), &work(folder.path()), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("the digest of the images"), "{error}");
}

#[test]
fn one_image_has_no_covariance() {
    let folder = tempfile::tempdir().unwrap();
    let error = statistics(folder.path(), 1, &mut means()).unwrap_err();
    assert!(matches!(error, StatisticsError::TooFew { n: 1, .. }), "{error}");
}

#[test]
fn statistics_survive_writing_and_reading() {
    let folder = tempfile::tempdir().unwrap();
    let written = statistics(folder.path(), 50, &mut means()).unwrap();
    let path = folder.path().join("s.npz");
    for covariance in [Covariance::Full, Covariance::Upper] {
        written.write(&path, covariance).unwrap();
        let read = Statistics::read(&path).unwrap();
        assert_eq!((&read.mu, &read.sigma), (&written.mu, &written.sigma));
        assert_eq!((read.n, read.extractor), (Some(50), Some(means().id)));
    }
}

#[test]
fn rounded_statistics_are_within_two_to_the_minus_sixteen() {
    let folder = tempfile::tempdir().unwrap();
    let written = statistics(folder.path(), 50, &mut means()).unwrap();
    let path = folder.path().join("s.npz");
    written.write(&path, Covariance::Rounded).unwrap();
    let read = Statistics::read(&path).unwrap();
    assert_eq!((&read.mu, read.n), (&written.mu, Some(50)));
    let apart = |(a, b): (&f64, &f64)| (a - b).abs() / b.abs();
    let worst = read.sigma.iter().zip(&written.sigma).map(apart).fold(0.0, f64::max);
    assert!(worst <= 2.0_f64.powi(-16) && worst > 2.0_f64.powi(-24), "{worst:e}");
}

/// Half a step of a correlation, and variances to the last digit; a file with all digits is written again without its images.
#[test]
fn statistics_as_correlations_come_from_a_file_with_all_digits() {
    let folder = tempfile::tempdir().unwrap();
    let written = statistics(folder.path(), 50, &mut means()).unwrap();
    let [full, path] = ["full.npz", "s.npz"].map(|name| folder.path().join(name));
    written.write(&full, Covariance::Full).unwrap();
    let again = ReferenceStatistics::read(&full).unwrap();
    assert_eq!(again, written);
    again.write(&path, Covariance::Correlations).unwrap();
    let read = Statistics::read(&path).unwrap();
    assert_eq!((&read.mu, read.n, &read.extractor), (&written.mu, Some(50), &Some(means().id)));
    assert_eq!(read.sigma.diag(), written.sigma.diag());
    let steps_apart = |((i, j), value): ((usize, usize), &f64)| {
        let scale = (written.sigma[[i, i]] * written.sigma[[j, j]]).sqrt();
        (value - written.sigma[[i, j]]).abs() / scale * crate::store::correlations::STEPS
    };
    let worst = read.sigma.indexed_iter().map(steps_apart).fold(0.0, f64::max);
    assert!(worst <= 0.5001 && worst > 1e-4, "{worst}");
    let refused = ReferenceStatistics::read(&path).unwrap_err().to_string();
    assert!(refused.contains("rounded already"), "{refused}");
    let said = again.provenance_as(Covariance::Correlations).covariance;
    assert_eq!(said.as_deref(), Some("correlations rounded to steps of 1/32767"));
    assert_eq!(again.provenance_as(Covariance::Full).covariance, None);
    written.write(&full, Covariance::Rounded).unwrap();
    assert!(ReferenceStatistics::read(&full).unwrap_err().to_string().contains("rounded already"));
}

#[test]
fn a_truncated_file_of_statistics_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.npz");
    statistics(folder.path(), 50, &mut means()).unwrap().write(&path, Covariance::Upper).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    crate::store::publish(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(Statistics::read(&path).is_err());
}

#[test]
fn png_folders_and_npz_files_give_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let expected = images(3);
    for (index, picture) in expected.outer_iter().enumerate() {
        let pixel =
            |x: u32, y: u32| image::Rgb([0, 1, 2].map(|c| picture[[c, y as usize, x as usize]]));
        let path = folder.path().join(format!("{index}.png"));
        image::RgbImage::from_fn(2, 2, pixel).save(path).unwrap();
    }
    let mut pngs = open(&folder.path().to_string_lossy()).unwrap();
    assert_eq!((pngs.len(), pngs.read(0..3).unwrap()), (3, expected.clone()));
    let path = folder.path().join("samples.npz");
    let mut bytes = Vec::new();
    let mut npz = ndarray_npy::NpzWriter::new(std::io::Cursor::new(&mut bytes));
    let nhwc = expected.view().permuted_axes([0, 2, 3, 1]).as_standard_layout().into_owned();
    npz.add_array("arr_0", &nhwc).unwrap();
    npz.finish().unwrap();
    crate::store::publish(&path, &bytes).unwrap();
    let mut npz = ArrayImages::open(&path).unwrap();
    assert_eq!(npz.read(1..3).unwrap(), expected.slice(s![1..3, .., .., ..]));
}

/// Images of one size after another; the reader must not split their runs where the digest of early versions had none.
#[test]
fn pieces_have_the_digest_of_their_block() {
    let (all, extractor) = (images(150), means());
    let of = |pieces: Vec<Array4<u8>>| {
        let mut digest = super::block::ImagesDigest::new(None);
        for piece in pieces {
            digest.push(piece);
        }
        digest.promise(&extractor.id)
    };
    let part = |range: Range<usize>| all.slice(s![range, .., .., ..]).to_owned();
    let whole = of(vec![all.clone()]);
    assert_eq!(of(vec![part(0..64), part(64..128), part(128..150)]), whole);
    assert_ne!(of(vec![part(0..64), part(64..128), part(128..149)]), whole);
    let wide = Array4::<u8>::zeros((3, 3, 2, 4));
    assert_ne!(of(vec![part(0..64), wide.clone(), part(64..150)]), of(vec![all.clone(), wide]));
}

/// Fails at one image, and counts how many it has been asked for.
struct Failing(Memory, std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl ImageSource for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        self.1.fetch_max(range.end, std::sync::atomic::Ordering::SeqCst);
        if range.contains(&1500) {
            return Err(StatisticsError::input(Path::new("1500.png"), "is no image"));
        }
        self.0.read(range)
    }
}

#[test]
fn an_image_that_cannot_be_read_ends_the_run_after_the_blocks_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let asked = std::sync::Arc::default();
    let mut source = Failing(Memory(images(4 * BLOCK_IMAGES)), std::sync::Arc::clone(&asked));
    let ended = features(&mut source, &mut means(), &work(folder.path()), &mut |_| {});
    assert!(ended.unwrap_err().to_string().contains("1500.png: is no image"));
    assert!(folder.path().join("features-00000.json").exists());
    assert!(!folder.path().join("features-00001.json").exists());
    assert!(asked.load(std::sync::atomic::Ordering::SeqCst) <= 1536, "nothing is read after it");
}

#[test]
fn the_reader_is_a_few_pieces_ahead_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let asked = std::sync::Arc::default();
    let mut source = Failing(Memory(images(1400)), std::sync::Arc::clone(&asked));
    let mut network = Means { fails_after: 0, ..means() };
    assert!(features(&mut source, &mut network, &work(folder.path()), &mut |_| {}).is_err());
    let read = asked.load(std::sync::atomic::Ordering::SeqCst);
    assert!(read <= 4 * super::PIECE_IMAGES, "{read} images in memory");
}
