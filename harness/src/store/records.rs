//! Rows of the stores, as plain types. The Parquet schemas are derived from these in the same folder.

use ndarray::{Array3, Array4};

use crate::units::{BlockId, ClassLabel, Nfe, SampleId};

/// One block of generated images with everything the estimators said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagePart {
    /// Block number.
    pub block: BlockId,
    /// Arm of the plan.
    pub arm: String,
    /// Sample ids, ascending: what the draws of each image are keyed by.
    pub samples: Vec<SampleId>,
    /// Classes, where the model has them.
    pub labels: Option<Vec<ClassLabel>>,
    /// Images `[n, 3, H, W]`, u8.
    pub images: Array4<u8>,
    /// One entry an estimator or control, in plan order.
    pub scores: Vec<MethodScores>,
    /// NFE of one image of this block that moved the trajectory.
    pub nfe_trajectory: u64,
    /// Wall time of the block.
    pub seconds: f64,
    /// Wall time inside the network.
    pub network_seconds: f64,
    /// What else is known of the time, where wall times are evidence.
    pub timed: Option<Timed>,
}

/// A block whose wall time is evidence: made by one network at a time, beside known company.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timed {
    /// Wall time of turning states into images, a part of that of the block.
    pub decode_seconds: f64,
    /// Cores that other processes kept busy meanwhile, on average; `None` where nobody could tell.
    pub other_cores: Option<f64>,
}

/// What one method said of the images of a part.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodScores {
    /// Method name, unique within the arm.
    pub method: String,
    /// Steps that score and map are sums over.
    pub span: Span,
    /// Image-level score: the f64 sum of the map over window steps, channels and pixels. Higher = less certain.
    pub score: Vec<f64>,
    /// Maps, f32, one an image, where the method has some: `[1, H, W]` summed over channels, or `[c, h, w]`.
    pub map: Option<Vec<Array3Map>>,
    /// NFE per image that this method asks for beyond the trajectory (as if it ran alone).
    pub nfe: Nfe,
    /// Wall time inside the network for this method.
    pub network_seconds: f64,
}

impl MethodScores {
    /// Adds the images of a further batch, after those that are there.
    pub(crate) fn extend(&mut self, more: Self) {
        self.score.extend(more.score);
        self.network_seconds += more.network_seconds;
        if let (Some(maps), Some(more)) = (&mut self.map, more.map) {
            maps.extend(more);
        }
    }
}

/// Steps that scores and maps are sums over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The whole window of the estimator.
    #[default]
    Window,
    /// Its late steps.
    Late,
    /// One step, by its loop index.
    Step(u32),
    /// No sum: the share of the elements of all maps of the window that lie below zero.
    Negative,
}

impl Span {
    /// What columns of the span are called behind the name of their method.
    pub(super) fn suffix(self) -> String {
        match self {
            Self::Window => String::new(),
            Self::Late => ":late".to_owned(),
            Self::Step(index) => format!(":step:{index}"),
            Self::Negative => ":negative".to_owned(),
        }
    }
}

/// One image's map, `[1, H, W]` or `[c, h, w]`.
pub type Array3Map = Array3<f32>;

/// One number of a result, long form: the columns of `metrics.parquet`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MetricRow {
    /// Experiment name.
    pub experiment: String,
    /// Published artefact: `table1`, ...
    pub artefact: String,
    /// Scale: `smoke`, `mini`, `paper`.
    pub scale: String,
    /// Bundle name.
    pub model: String,
    /// Data set of the reference statistics.
    pub dataset: String,
    /// Arm of the plan.
    pub arm: String,
    /// Sampler of the arm, with its steps: `ddim-50`.
    pub sampler: String,
    /// Method, by the name that the experiment gives it: `random`, `sample_var`, `full`, ...
    pub method: String,
    /// What the method is, whatever its name: what labels and published numbers hang on.
    pub kind: String,
    /// Metric: `fid`, `fid_inf`, `delta`, `p_value`, `spearman`, `aurg`, ...
    pub metric: String,
    /// What the metric is of, where it is of something: the other method of a correlation or gain, what a delta is taken
    /// from (`random`, `unguided`), which reading of a map (`late`, `pooled`, `pixel`, `audit`).
    pub argument: Option<String>,
    /// Which side: the part that is kept (`lowest`, `highest`), which way a map is read (`as_is`, `inverted`), the step of
    /// an audit.
    pub side: Option<String>,
    /// The number; `None` with a `reason` where there is none.
    pub value: Option<f64>,
    /// Standard error.
    pub se: Option<f64>,
    /// Lower end of the 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval.
    pub ci_high: Option<f64>,
    /// Images behind the number.
    pub n: Option<u64>,
    /// Reference images behind the number.
    pub n_reference: Option<u64>,
    /// The published number, where the artefact has one for this cell.
    pub paper_value: Option<f64>,
    /// NFE per image that moved the trajectory.
    pub nfe_trajectory: Option<u64>,
    /// NFE per image of the method's estimator.
    pub nfe_estimator: Option<u64>,
    /// Reverse passes per image.
    pub nfe_gradient: Option<u64>,
    /// Wall time of the method, seconds. With the numbers of [`TIMES`] all that may differ between two runs of a plan.
    pub seconds: Option<f64>,
    /// `better`, `worse`, `n.s.`, or empty.
    pub verdict: Option<String>,
    /// Why `value` is missing, or a remark that belongs to the number.
    pub reason: Option<String>,
    /// Hash of the plan.
    pub plan_id: String,
    /// Version of the metric's definition.
    pub metric_version: u32,
}

/// Metrics that are wall times, or made of some: what may differ between two runs of a plan.
pub const TIMES: [&str; 9] = [
    "seconds",
    "repeat_seconds",
    "median_seconds",
    "mad_seconds",
    "decode_seconds",
    "network_seconds",
    "time_ratio",
    "time_over_predicted",
    "other_cores",
];

impl MetricRow {
    /// Whether the number is a wall time, or made of some.
    pub fn is_time(&self) -> bool {
        TIMES.contains(&self.metric.as_str())
    }

    /// The row without what may differ between two runs of a plan: the column `seconds`, and all that is measured of a row
    /// that [`MetricRow::is_time`].
    #[must_use]
    pub fn without_times(&self) -> Self {
        let row = Self { seconds: None, ..self.clone() };
        if !self.is_time() {
            return row;
        }
        Self {
            value: None,
            se: None,
            ci_low: None,
            ci_high: None,
            verdict: None,
            reason: None,
            ..row
        }
    }
}

/// One point of a curve: a metric where a fraction of images or of elements is gone.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurveRow {
    /// Arm of the plan.
    pub arm: String,
    /// Method name, `random`, `chance` or `oracle`.
    pub method: String,
    /// `lowest` or `highest` (kept), `as_is` or `inverted` (read), `random` for the random band.
    pub side: String,
    /// What `value` is: `fid` of the images that are kept, `rmse` of the elements that are kept.
    pub metric: String,
    /// Fraction that is gone, of images, elements or, for the metrics of single steps, of the walk: in [0, 1].
    pub x: f64,
    /// The metric of what is left.
    pub value: f64,
    /// Its standard error; for `random` the standard deviation over subsets.
    pub se: Option<f64>,
    /// Images behind the value.
    pub n: u64,
}

/// All scores of one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreTable {
    /// Sample ids, ascending.
    pub samples: Vec<SampleId>,
    /// `(method, one score a sample)`.
    pub columns: Vec<(String, Vec<f64>)>,
}
