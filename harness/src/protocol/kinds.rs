//! The protocols that an experiment can name.

use super::{
    Protocol, filtering, guidance, pairs, precision_recall, reconstruction, stepwise, timing,
};
use crate::kinds::kinds;

kinds! {
    /// What an experiment computes from its images.
    pub enum ProtocolConfig: Protocol {
        /// Table 1: discard the images that a score calls uncertain, and ask whether FID improves.
        "filtering", "Filtering" => Filtering(filtering::Filtering),
        /// Table 2: noise real images, denoise them, and ask whether uncertainty marks the error.
        "reconstruction", "Reconstruction" => Reconstruction(reconstruction::Reconstruction),
        /// Table 3: sample the same starts with and without guidance, and ask whether FID moves.
        "guidance", "Guidance" => Guidance(guidance::Guidance),
        /// Tables 5 and 6: what looking on costs, in seconds, beside what it costs in evaluations.
        "timing", "Timing" => Timing(timing::Timing),
        /// Figures 3 to 5, 8 and 9: the uncertainty along the walk, step by step.
        "stepwise", "Stepwise" => Stepwise(stepwise::Stepwise),
        /// Figures 1, 6, 7, 10, 12, 13: the same prompts and starts with and without guidance, side by side.
        "pairs", "Pairs" => Pairs(pairs::Pairs),
        /// Table 4: precision, recall, density and coverage of what a score keeps, against real images.
        "precision_recall", "Precision and recall" => PrecisionRecall(precision_recall::PrecisionRecall),
    }
}
