//! What a report is made of. The report stage reads it from the stores; nothing here touches a disk.

use ndarray::{Array2, Array3};

use crate::store::records::{CurveRow, MetricRow, ScoreTable};
use crate::units::SampleId;

/// Everything that tables and plots of one run need.
#[derive(Clone, Debug)]
pub struct ReportInput {
    /// Experiment name, `table1-cifar10`.
    pub experiment: String,
    /// The question of the experiment file.
    pub question: String,
    /// Published artefact, `table1`.
    pub artefact: String,
    /// Scale, `mini`.
    pub scale: String,
    /// All numbers, long form.
    pub rows: Vec<MetricRow>,
    /// Filter curves.
    pub curves: Vec<CurveRow>,
    /// Scores of all images.
    pub scores: ScoreTable,
    /// Images to show with their maps.
    pub exhibits: Vec<Exhibit>,
    /// Sentences that must stand under the table: networks, conventions, what differs from the paper.
    pub remarks: Vec<String>,
}

/// Which end of a ranking an exhibit stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RankEnd {
    /// Lowest scores.
    MostCertain,
    /// Highest scores.
    LeastCertain,
}

/// One image with the map of one method.
#[derive(Clone, Debug)]
pub struct Exhibit {
    /// Method whose ranking chose the image.
    pub method: String,
    /// End of that ranking.
    pub end: RankEnd,
    /// Sample id.
    pub sample: SampleId,
    /// The method's score.
    pub score: f64,
    /// `[3, H, W]` u8.
    pub image: Array3<u8>,
    /// `[H, W]` f32, >= 0; `None` where the method has no map.
    pub map: Option<Array2<f32>>,
}
