//! Images that must be decoded: on several threads, each brought to the asked size at once, so that memory holds a few whole
//! photographs and no more, however many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ndarray::{Array4, ArrayView3};
use rayon::ThreadPool;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::decode::{Picture, decode};
use super::encoded::{EncodedImages, Fetched};
use super::transform::Transform;
use super::{ImageSource, PIECE_IMAGES, StatisticsError};
use crate::units::ClassLabel;

/// Images of a decoded set.
pub(super) struct Pictures {
    images: Box<dyn EncodedImages>,
    transform: Option<Transform>,
    /// How many may be left out because they cannot be read.
    budget: usize,
    left_out: BTreeMap<usize, String>,
    pool: Option<ThreadPool>,
    /// Images read so far whose EXIF data ask to turn them.
    turned: BTreeSet<usize>,
    /// Sizes seen so far, height and width, as they are given out.
    sizes: BTreeSet<(usize, usize)>,
}

/// A decoded image as its network takes it: levels `[h, w, 3]`.
struct Ready {
    height: usize,
    width: usize,
    levels: Vec<u8>,
    turned: bool,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pictures")
            .field("name", &self.images.name())
            .field("transform", &self.transform)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl Pictures {
    /// All images, as they are.
    pub(super) fn new(images: Box<dyn EncodedImages>) -> Self {
        Self {
            images,
            transform: None,
            budget: 0,
            left_out: BTreeMap::new(),
            pool: None,
            turned: BTreeSet::new(),
            sizes: BTreeSet::new(),
        }
    }

    /// Brings every image to a size.
    #[must_use]
    pub(super) fn transformed(mut self, transform: Option<Transform>) -> Self {
        self.transform = transform;
        self
    }

    /// Leaves out up to `n` images that cannot be read; one more is an error.
    #[must_use]
    pub(super) fn leaving_out(mut self, n: usize) -> Self {
        self.budget = n;
        self
    }

    /// Decodes on `n` threads of its own; else on those that all computations share.
    ///
    /// # Errors
    /// [`StatisticsError::Input`] where threads cannot be started.
    pub(super) fn on_threads(mut self, n: Option<NonZeroUsize>) -> Result<Self, StatisticsError> {
        let Some(n) = n else { return Ok(self) };
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n.get())
            .thread_name(|index| format!("decode-{index}"))
            .build()
            .map_err(|error| self.refused(format!("{n} threads cannot be started: {error}")))?;
        self.pool = Some(pool);
        Ok(self)
    }

    fn refused(&self, message: String) -> StatisticsError {
        StatisticsError::input(Path::new(self.images.name()), message)
    }

    /// Decodes the images `range`, in order.
    fn decode(
        &mut self,
        range: Range<usize>,
    ) -> Result<Vec<Result<Ready, StatisticsError>>, StatisticsError> {
        let fetched = self.images.fetch(range.clone())?;
        let places: Vec<PathBuf> = range.map(|index| self.images.place(index)).collect();
        let transform = self.transform;
        let one = |(place, fetched): (PathBuf, Fetched)| ready(&place, fetched, transform);
        let all = || places.into_par_iter().zip(fetched).map(one).collect();
        Ok(match &self.pool {
            Some(pool) => pool.install(all),
            None => all(),
        })
    }

    /// Counts an image that cannot be read, or refuses the set.
    fn leave_out(&mut self, index: usize, error: StatisticsError) -> Result<(), StatisticsError> {
        if self.budget == 0 {
            return Err(error);
        }
        self.left_out.insert(index, error.to_string());
        if self.left_out.len() > self.budget {
            let (dataset, budget) = (self.images.name().to_owned(), self.budget);
            let first: Vec<&str> = self.left_out.values().take(3).map(String::as_str).collect();
            return Err(StatisticsError::Unreadable {
                dataset,
                n: self.left_out.len(),
                budget,
                first: first.join("; "),
            });
        }
        Ok(())
    }

    fn piece(
        &mut self,
        range: Range<usize>,
        runs: &mut Vec<Run>,
        first_of_run: bool,
    ) -> Result<(), StatisticsError> {
        let mut opens = first_of_run;
        for (at, image) in self.decode(range.clone())?.into_iter().enumerate() {
            match image {
                Err(error) => self.leave_out(range.start + at, error)?,
                Ok(image) => {
                    let size = (image.height, image.width);
                    self.sizes.insert(size);
                    if image.turned {
                        self.turned.insert(range.start + at);
                    }
                    if opens || runs.last().is_none_or(|run| run.size != size) {
                        runs.push(Run { size, levels: Vec::new() });
                        opens = false;
                    }
                    if let Some(run) = runs.last_mut() {
                        run.push(&image.levels);
                    }
                }
            }
        }
        Ok(())
    }
}

impl ImageSource for Pictures {
    fn name(&self) -> &str {
        self.images.name()
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        let first = range.start;
        let runs = self.read_runs(range)?;
        if self.sizes.len() > 1 {
            let sizes: Vec<String> = self.sizes.iter().map(|(h, w)| format!("{h} x {w}")).collect();
            let message = format!(
                "images of {}: here all must have one size; add @RECIPE:SIZE to the path, as FOLDER@adm-crop:64",
                sizes.join(", ")
            );
            return Err(StatisticsError::input(&self.images.place(first), message));
        }
        let views: Vec<_> = runs.iter().map(|run| run.view()).collect();
        if views.is_empty() {
            return Ok(Array4::zeros((0, 3, 0, 0)));
        }
        ndarray::concatenate(ndarray::Axis(0), &views)
            .map_err(|error| self.refused(error.to_string()))
    }

    fn read_runs(&mut self, range: Range<usize>) -> Result<Vec<Array4<u8>>, StatisticsError> {
        let mut runs: Vec<Run> = Vec::new();
        let short = self.run_limit().is_some();
        for start in range.clone().step_by(PIECE_IMAGES) {
            let end = (start + PIECE_IMAGES).min(range.end);
            self.piece(start..end, &mut runs, short)?;
        }
        runs.into_iter()
            .map(|run| run.images().map_err(|error| self.refused(error.to_string())))
            .collect()
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        self.images.classes(range)
    }

    fn run_limit(&self) -> Option<usize> {
        let long = self.transform.is_none() && self.images.has_long_runs();
        (!long).then_some(PIECE_IMAGES)
    }

    fn transform(&self) -> Option<Transform> {
        self.transform
    }

    fn image_size(&self) -> Option<[u64; 2]> {
        let mut sizes = self.sizes.iter();
        match (sizes.next(), sizes.next()) {
            (Some((h, w)), None) => Some([*h as u64, *w as u64]),
            _ => None,
        }
    }

    fn left_out(&self) -> Vec<String> {
        self.left_out.values().cloned().collect()
    }

    fn notes(&self) -> Vec<String> {
        let (mut notes, name) = (self.images.notes(), self.images.name());
        if !self.turned.is_empty() {
            let n = self.turned.len();
            notes.push(format!(
                "{name}: {n} images have an EXIF orientation, which is not applied (as in Pillow's loader)"
            ));
        }
        if self.sizes.len() > 1 {
            let n = self.sizes.len();
            notes.push(format!("{name}: images of {n} sizes, each resized by itself"));
        }
        if !self.left_out.is_empty() {
            let n = self.left_out.len();
            notes.push(format!("{name}: {n} images that cannot be read left out:"));
            notes.extend(self.left_out.values().map(|why| format!("left out: {why}")));
        }
        notes
    }
}

/// Decodes one image and brings it to its size.
fn ready(
    place: &Path,
    fetched: Fetched,
    transform: Option<Transform>,
) -> Result<Ready, StatisticsError> {
    let bytes = match fetched {
        Fetched::File => std::fs::read(place).map_err(StatisticsError::io(place))?,
        Fetched::Bytes(bytes) => bytes,
        Fetched::Failed(error) => return Err(error),
    };
    let Picture { pixels, turned } = decode(place, &bytes)?;
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let Some(transform) = transform else {
        return Ok(Ready { height, width, levels: pixels.into_raw(), turned });
    };
    let refused = |message: String| StatisticsError::input(place, message);
    let image = ArrayView3::from_shape((height, width, 3), pixels.as_raw())
        .map_err(|error| refused(error.to_string()))?;
    let image = transform.apply(image).map_err(|error| refused(error.to_string()))?;
    let (height, width, _) = image.dim();
    Ok(Ready { height, width, levels: image.into_raw_vec_and_offset().0, turned })
}

/// Images of one size, `[n, 3, h, w]`.
struct Run {
    /// Height and width.
    size: (usize, usize),
    levels: Vec<u8>,
}

impl Run {
    /// Adds levels `[h, w, 3]`.
    fn push(&mut self, levels: &[u8]) {
        for channel in 0..3 {
            self.levels.extend(levels.iter().skip(channel).step_by(3));
        }
    }

    fn images(self) -> Result<Array4<u8>, ndarray::ShapeError> {
        let (h, w) = self.size;
        let n = self.levels.len() / (3 * h * w).max(1);
        Array4::from_shape_vec((n, 3, h, w), self.levels)
    }
}
