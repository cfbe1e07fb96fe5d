//! Rows of the stores, as plain types. The Parquet schemas are derived from these in the same folder.

use ndarray::{Array3, Array4};

use crate::units::{BlockId, ClassLabel, Nfe, SampleId};

/// One block of generated images with everything the estimators said of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ImagePart {
    /// Block number.
    pub block: BlockId,
    /// Sample ids, ascending.
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
}

/// What one method said of the images of a part.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodScores {
    /// Method name, unique within the plan.
    pub method: String,
    /// Image-level score: the f64 sum of the map over window steps, channels and pixels. Higher = less certain.
    pub score: Vec<f64>,
    /// Map `[n, H, W]` summed over window steps and channels, f32, where the plan keeps maps.
    pub map: Option<Vec<Array3Map>>,
    /// NFE per image that this method asks for beyond the trajectory (as if it ran alone).
    pub nfe: Nfe,
    /// Wall time inside the network for this method.
    pub network_seconds: f64,
}

/// One image's map `[1, H, W]`.
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
    /// Sampler, with its steps: `ddim-50`.
    pub sampler: String,
    /// Method: `random`, `sample_var`, `full`, ...
    pub method: String,
    /// Metric: `fid`, `fid_inf`, `p_value`, `spearman(sample_var)`, ...
    pub metric: String,
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
    /// Which part is kept: `keep_lowest`, `keep_highest`, or empty.
    pub direction: Option<String>,
    /// The published number, where the artefact has one for this cell.
    pub paper_value: Option<f64>,
    /// NFE per image that moved the trajectory.
    pub nfe_trajectory: Option<u64>,
    /// NFE per image of the method's estimator.
    pub nfe_estimator: Option<u64>,
    /// Reverse passes per image.
    pub nfe_gradient: Option<u64>,
    /// Wall time of the method, seconds. The only column that may differ between two runs of a plan.
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

/// One point of a filter curve: FID of what is left after discarding a fraction of the pool.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CurveRow {
    /// Method name, or `random`.
    pub method: String,
    /// `keep_lowest` or `keep_highest`; `random` for the random band.
    pub direction: String,
    /// Fraction of the pool that is discarded, in [0, 1).
    pub fraction_discarded: f64,
    /// Images kept.
    pub n_keep: u64,
    /// FID of the kept images.
    pub fid: f64,
    /// Its standard error; for `random` the standard deviation over subsets.
    pub se: Option<f64>,
}

/// All scores of one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreTable {
    /// Sample ids, ascending.
    pub samples: Vec<SampleId>,
    /// `(method, one score a sample)`.
    pub columns: Vec<(String, Vec<f64>)>,
}
