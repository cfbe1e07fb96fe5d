//! What can be asked for, and what is answered.

/// Which pixels are ranked together.
///
/// # Examples
/// ```
/// use dubench_metrics::sparsification::{Pool, SparsificationOptions, sparsification};
/// use ndarray::array;
/// // Ranked right within each image, and upside down between them.
/// let (error, uncertainty) = (array![[5.0, 6.0], [0.0, 1.0]], array![[1.0, 2.0], [3.0, 4.0]]);
/// let ause = |pool| {
///     let options = SparsificationOptions { pool, ..SparsificationOptions::default() };
///     sparsification(&error, &uncertainty, &options).map(|found| found.ause)
/// };
/// assert_eq!(ause(Pool::Image)?, 0.0);
/// assert!(ause(Pool::All)? > 1.0);
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pool {
    /// Each image on its own; areas and curves are averaged over images.
    Image,
    /// All pixels of all images in one ranking.
    All,
}

/// How the area is computed.
///
/// # Examples
/// ```
/// use dubench_metrics::sparsification::{Pool, Preset, SparsificationOptions, sparsification};
/// use ndarray::array;
/// let (error, flat) = (array![[1.0, 2.0, 3.0]], array![[7.0, 7.0, 7.0]]);
/// let aurg = |preset| {
///     let options = SparsificationOptions { pool: Pool::All, preset, intervals: 50 };
///     sparsification(&error, &flat, &options).map(|found| found.aurg / found.rmse)
/// };
/// assert!(aurg(Preset::Exact)?.abs() < 1e-12); // a constant is chance itself
/// assert!((aurg(Preset::MonoUncertainty)? - 0.01).abs() < 1e-12); // 1 / (2 intervals): the zero appended
/// # Ok::<(), dubench_metrics::MetricError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Every number of pixels kept, ties at their mean: no grid, no dependence on the order of equal values.
    Exact,
    /// Percentile thresholds with `NumPy`'s interpolation, ties all kept, a zero appended, trapezoid rule. A constant
    /// uncertainty has AURG = RMSE / (2 intervals), not 0.
    MonoUncertainty,
    /// Mean absolute error of what is kept over that of all, at every rank, trapezoid rule up to `(n - 1) / n`; as
    /// torch-uncertainty does since it divides by the number kept. AURG is the same rule with a constant 1.
    TorchUncertainty,
    /// The script released with arXiv:2412.00205: half precision, arrays padded with zero rows to `n_rows` images,
    /// one ranking, then [`Preset::MonoUncertainty`]. Its numbers are artefacts; see [`authors_code_error`].
    ///
    /// [`authors_code_error`]: super::authors_code_error
    AuthorsCode {
        /// Images in the padded arrays; at least those given.
        n_rows: usize,
    },
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SparsificationOptions {
    /// Which pixels are ranked together.
    pub pool: Pool,
    /// How the area is computed.
    pub preset: Preset,
    /// Points of the curve less one, and thresholds of [`Preset::MonoUncertainty`].
    pub intervals: usize,
}

impl Default for SparsificationOptions {
    /// Per image, exact, 50 intervals.
    fn default() -> Self {
        Self { pool: Pool::Image, preset: Preset::Exact, intervals: 50 }
    }
}

/// Curves against the fraction removed.
#[derive(Debug, Clone, PartialEq)]
pub struct SparsificationCurve {
    /// Fraction removed, from 0 to 1.
    pub x: Vec<f64>,
    /// Error of what the uncertainty keeps.
    pub method: Vec<f64>,
    /// Error of what the oracle keeps.
    pub oracle: Vec<f64>,
    /// Error of what chance keeps: constant.
    pub random: Vec<f64>,
}

/// AUSE, AURG and the curves behind them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sparsification {
    /// Area between the curve and the oracle's.
    pub ause: f64,
    /// Area between chance and the curve; negative if the uncertainty misleads.
    pub aurg: f64,
    /// Error of all pixels: RMSE (mean over images for [`Pool::Image`]; 1 for [`Preset::TorchUncertainty`]).
    pub rmse: f64,
    /// Standard error of `ause` over images, `None` for a single image.
    pub ause_se: Option<f64>,
    /// Standard error of `aurg` over images, `None` for a single image.
    pub aurg_se: Option<f64>,
    /// Number of images.
    pub n_images: usize,
    /// The curves.
    pub curve: SparsificationCurve,
}
