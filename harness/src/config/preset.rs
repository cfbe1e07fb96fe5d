//! Named sets of values: what the paper says, and what the released code does.

use serde::{Deserialize, Serialize};

use crate::uncertainty::{Defaults, Window};

/// Where values come from that an experiment file leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// What the text of arXiv:2412.00205 says.
    #[default]
    Paper,
    /// What the recorded commands of the authors' code say.
    AuthorsCode,
}

impl Preset {
    /// The values.
    ///
    /// DIFFERENCE (window): the paper sums "from denoising timestep 45 until 48" for 20 evaluations,
    /// hence 4 steps of 5 draws; the recorded commands start at 45 and look at 3 steps. Both run
    /// MC-Dropout with p = 0.5 over the last 10 steps, 50 evaluations.
    pub fn defaults(self) -> Defaults {
        let len = match self {
            Self::Paper => 4,
            Self::AuthorsCode => 3,
        };
        Defaults {
            n_draws: 5,
            window: Window { start: 45, len },
            dropout_p: 0.5,
            dropout_window: Window { start: 40, len: 10 },
        }
    }
}
