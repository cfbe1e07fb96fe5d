//! Which blocks this process tries.

use crate::units::BlockId;

use super::PlanError;

/// Index variables of engines whose numbering starts at 0.
const ZERO_BASED: [&str; 6] = [
    "SLURM_ARRAY_TASK_ID",
    "JOB_COMPLETION_INDEX",
    "HQ_TASK_ID",
    "PBS_ARRAY_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "OMPI_COMM_WORLD_RANK",
];

/// Index variables of engines whose numbering starts at 1.
const ONE_BASED: [&str; 2] = ["LSB_JOBINDEX", "SGE_TASK_ID"];

/// Shard `index` of `count`: the blocks `b` with `b mod count = index`.
///
/// A shard only says which blocks a process tries. Files are named by block, so the number of
/// shards, retries, and another number of shards next time cannot change a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// [`PlanError::Shard`] unless `index < count`.
    pub fn new(index: u32, count: u32) -> Result<Self, PlanError> {
        if index < count {
            return Ok(Self { index, count });
        }
        let reason = format!("there is no shard {index} of {count}");
        Err(PlanError::Shard { text: format!("{index}/{count}"), reason })
    }

    /// The only shard of one: everything.
    pub fn whole() -> Self {
        Self { index: 0, count: 1 }
    }

    /// Parses `INDEX/COUNT`.
    ///
    /// # Errors
    /// [`PlanError::Shard`].
    ///
    /// # Examples
    /// ```
    /// use dubench::plan::Shard;
    /// use dubench::units::BlockId;
    /// let shard = Shard::parse("1/4")?;
    /// assert!(shard.takes(BlockId(5)) && !shard.takes(BlockId(4)));
    /// assert_eq!(
    ///     Shard::parse("4/4").unwrap_err().to_string(),
    ///     "shard \"4/4\": there is no shard 4 of 4; write INDEX/COUNT with 0 <= INDEX < COUNT, as 0/4",
    /// );
    /// # Ok::<(), dubench::plan::PlanError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let wrong =
            |reason: &str| PlanError::Shard { text: text.to_owned(), reason: reason.into() };
        let (index, count) = text.split_once('/').ok_or_else(|| wrong("there is no slash"))?;
        let number = |part: &str| part.trim().parse().map_err(|_| wrong("not two whole numbers"));
        Self::new(number(index)?, number(count)?)
    }

    /// The shard of this process: the flag, else `DUBENCH_SHARD=INDEX/COUNT`, else the index variable of
    /// the engine with `DUBENCH_SHARDS` as the count, else everything.
    ///
    /// The count is never read from the engine: Slurm reports the tasks of *this* submission, and a
    /// resubmission of three lost tasks would renumber the work.
    ///
    /// # Errors
    /// [`PlanError::Shard`], or [`PlanError::AmbiguousShard`] when two engines claim this process.
    pub fn choose(
        flag: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, PlanError> {
        if let Some(text) = flag {
            return Self::parse(text);
        }
        if let Some(text) = variable("DUBENCH_SHARD") {
            return Self::parse(&text);
        }
        let Some(count) = variable("DUBENCH_SHARDS") else { return Ok(Self::whole()) };
        let set: Vec<(&str, u32, String)> = ZERO_BASED
            .into_iter()
            .map(|name| (name, 0))
            .chain(ONE_BASED.into_iter().map(|name| (name, 1)))
            .filter_map(|(name, base)| variable(name).map(|value| (name, base, value)))
            .filter(|(_, _, value)| value != "undefined")
            .collect();
        match set.as_slice() {
            [] => Err(PlanError::Shard {
                text: format!("DUBENCH_SHARDS={count}"),
                reason: "no engine has set an index variable".into(),
            }),
            [(name, base, value)] => Self::from_engine(name, *base, value, &count),
            [(first, ..), (second, ..), ..] => Err(PlanError::AmbiguousShard {
                first: (*first).to_owned(),
                second: (*second).to_owned(),
            }),
        }
    }

    fn from_engine(name: &str, base: u32, value: &str, count: &str) -> Result<Self, PlanError> {
        let wrong = |reason: &str| PlanError::Shard {
            text: format!("{name}={value} of {count}"),
            reason: reason.to_owned(),
        };
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong("not a whole number"));
        let index =
            number(value)?.checked_sub(base).ok_or_else(|| wrong("numbering starts at 1"))?;
        Self::new(index, number(count)?)
    }

    /// Whether this shard tries block `block`.
    pub fn takes(self, block: BlockId) -> bool {
        block.0 % u64::from(self.count) == u64::from(self.index)
    }

    /// Where among `n` things this shard begins when it looks for what others have left: each shard elsewhere.
    pub fn start_among(self, n: usize) -> usize {
        n * self.index as usize / (self.count as usize).max(1)
    }

    /// Whether this is everything.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(flag: Option<&str>, set: &[(&str, &str)]) -> Result<Shard, PlanError> {
        Shard::choose(flag, |name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_flag_wins_over_every_variable() {
        let set = [("DUBENCH_SHARD", "2/4"), ("SLURM_ARRAY_TASK_ID", "3")];
        assert_eq!(choose(Some("1/4"), &set), Shard::new(1, 4));
        assert_eq!(choose(None, &set), Shard::new(2, 4));
    }

    #[test]
    fn an_index_without_a_count_of_ours_means_everything() {
        assert_eq!(choose(None, &[("SLURM_ARRAY_TASK_ID", "3")]), Ok(Shard::whole()));
    }

    #[test]
    fn engines_that_count_from_one_are_shifted() {
        let lsf = [("DUBENCH_SHARDS", "4"), ("LSB_JOBINDEX", "4")];
        assert_eq!(choose(None, &lsf), Shard::new(3, 4));
        let slurm = [("DUBENCH_SHARDS", "4"), ("SLURM_ARRAY_TASK_ID", "0")];
        assert_eq!(choose(None, &slurm), Shard::new(0, 4));
        let wrong = [("DUBENCH_SHARDS", "4"), ("SGE_TASK_ID", "0")];
        assert!(matches!(choose(None, &wrong), Err(PlanError::Shard { .. })));
    }

    #[test]
    fn two_engines_are_refused_by_name() {
        let set = [("DUBENCH_SHARDS", "4"), ("SLURM_ARRAY_TASK_ID", "0"), ("HQ_TASK_ID", "0")];
        let error = choose(None, &set).unwrap_err().to_string();
        assert!(error.starts_with("SLURM_ARRAY_TASK_ID and HQ_TASK_ID are both set"), "{error}");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1", "a/b", "-1/4", "4/4", "0/0", "1/4/2"] {
            assert!(Shard::parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
