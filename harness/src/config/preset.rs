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
    /// The values, for a walk of `n_steps`.
    ///
    /// The paper's windows are counted on 50 steps. What makes them late is the training time, so for another number of
    /// steps they cover the same share of the walk: its first step is `floor(n_steps start / 50)`, its length rounds, and
    /// is at least 1.
    ///
    /// DIFFERENCE (window): the paper sums "from denoising timestep 45 until 48" for 20 evaluations,
    /// hence 4 steps of 5 draws; the recorded commands start at 45 and look at 3 steps. Both run
    /// MC-Dropout with p = 0.5 over the last 10 steps, 50 evaluations.
    ///
    /// # Examples
    /// ```
    /// use dubench::config::Preset;
    /// use dubench::uncertainty::Window;
    ///
    /// assert_eq!(Preset::Paper.defaults(50).window, Window { start: 45, len: 4 });
    /// assert_eq!(Preset::Paper.defaults(20).window, Window { start: 18, len: 2 });
    /// assert_eq!(Preset::Paper.defaults(20).dropout_window, Window { start: 16, len: 4 });
    /// ```
    pub fn defaults(self, n_steps: u32) -> Defaults {
        let len = match self {
            Self::Paper => 4,
            Self::AuthorsCode => 3,
        };
        Defaults {
            n_draws: 5,
            window: scaled(Window { start: 45, len }, n_steps),
            dropout_p: 0.5,
            dropout_window: scaled(Window { start: 40, len: 10 }, n_steps),
        }
    }
}

/// Steps on which the published windows are counted.
const PUBLISHED_STEPS: u64 = 50;

fn scaled(window: Window, n_steps: u32) -> Window {
    let of_walk = |published: u32, up: u64| {
        let steps = (u64::from(published) * u64::from(n_steps) + up) / PUBLISHED_STEPS;
        u32::try_from(steps).unwrap_or(u32::MAX)
    };
    Window { start: of_walk(window.start, 0), len: of_walk(window.len, PUBLISHED_STEPS / 2).max(1) }
}
