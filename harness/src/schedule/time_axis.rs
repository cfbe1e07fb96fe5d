//! What the times of a schedule are.

/// What the times of a schedule are: grids and samplers are made for one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeAxis {
    /// Training steps `0 .. T`.
    Steps(u32),
    /// A continuous time of a variance-preserving process.
    Continuous,
    /// EDM's `sigma`.
    Sigma,
    /// The time of a rectified flow, 1 for noise and 0 for the image.
    Flow,
    /// That of a bundle whose description was not read yet: anything may fit.
    Unread,
}

impl TimeAxis {
    /// Number of training steps `T`; `None` where there are none.
    pub fn n_train_steps(self) -> Option<u32> {
        match self {
            Self::Steps(n) => Some(n),
            Self::Continuous | Self::Sigma | Self::Flow | Self::Unread => None,
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Steps(_) => "training steps",
            Self::Continuous => "a continuous time",
            Self::Sigma => "sigmas",
            Self::Flow => "the times of a flow",
            Self::Unread => "times of its own",
        }
    }

    /// Kind of the grid that fits.
    pub(super) fn own_grid(self) -> &'static str {
        match self {
            Self::Steps(_) | Self::Unread => "leading",
            Self::Continuous => "uniform",
            Self::Sigma => "karras",
            Self::Flow => "flow_shift",
        }
    }
}
