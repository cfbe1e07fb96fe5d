//! `dubench metric filter`.

use dubench_metrics::{FilterOutcome, FilterStudy};
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need};
use super::notes::{finite, with_notes};
use crate::cli::answer::Context;
use crate::cli::arguments::FilterOptions;
use crate::cli::error::CliError;
use crate::report::number;
use crate::store::arrays::read_vector;

#[derive(Serialize)]
struct Answer {
    fid_keep_lowest: f64,
    fid_keep_highest: f64,
    fid_random_mean: f64,
    fid_random_sd: f64,
    p_lowest: f64,
    p_highest: f64,
    /// The least p that this many subsets can give; one that stands there is an upper bound.
    p_floor: f64,
    n: usize,
    keep: usize,
    notes: Vec<String>,
}

pub(super) fn run(options: &FilterOptions, context: Context) -> Result<(), CliError> {
    let mut input = Input::new(&options.network, context)?;
    let real = input.open(&options.real, Need::Moments)?;
    let pool = input.open(&options.features, Need::Rows)?;
    real.check_comparable(&pool)?;
    let scores = read_vector(&options.scores)?.to_vec();
    let reference = real.reference()?;
    let study = FilterStudy::new(&reference, pool.features()?)?;
    let null = study.random_null(options.keep, options.permutations, options.seed)?;
    let found = study.evaluate(&scores, &null)?;
    finite(&[
        ("FID of the lowest", found.fid_keep_lowest),
        ("FID of the highest", found.fid_keep_highest),
        ("FID of random subsets", found.fid_random_mean),
    ])?;
    let mut notes = Copies::of(&real, &pool).notes(&real, &pool);
    notes.extend(ties(&scores, options.keep));
    let answer = Answer::of(&found, null.floor(), notes);
    context.answer(&answer, &with_notes(answer.text(options.permutations), &answer.notes))
}

impl Answer {
    fn of(found: &FilterOutcome, p_floor: f64, notes: Vec<String>) -> Self {
        Self {
            fid_keep_lowest: found.fid_keep_lowest,
            fid_keep_highest: found.fid_keep_highest,
            fid_random_mean: found.fid_random_mean,
            fid_random_sd: found.fid_random_sd,
            p_lowest: found.p_lowest,
            p_highest: found.p_highest,
            p_floor,
            n: found.n,
            keep: found.keep,
            notes,
        }
    }

    /// The answer in words, from so many random subsets.
    fn text(&self, n_subsets: usize) -> String {
        format!(
            "keep lowest   {:.4}   p {}\nkeep highest  {:.4}   p {}\nrandom        {:.4} ± {:.4} (sd of {n_subsets} subsets)\n{} of {} images kept; p: chance that a random subset does as well, {} at least with {n_subsets} of them",
            self.fid_keep_lowest,
            p_text(self.p_lowest, self.p_floor),
            self.fid_keep_highest,
            p_text(self.p_highest, self.p_floor),
            self.fid_random_mean,
            self.fid_random_sd,
            self.keep,
            self.n,
            number::significant(self.p_floor, 2).unwrap_or_default(),
        )
    }
}

/// What a reader must know where equal scores stand on both sides of a cut.
fn ties(scores: &[f64], keep: usize) -> Option<String> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cuts = [("lowest", keep), ("highest", sorted.len().saturating_sub(keep))];
    let tied: Vec<String> = cuts
        .iter()
        .filter(|(_, at)| (1..sorted.len()).contains(at) && sorted[at - 1] == sorted[*at])
        .map(|(side, at)| {
            let n = sorted.iter().filter(|score| **score == sorted[*at]).count();
            format!("{n} at the cut of the {side}")
        })
        .collect();
    let which = "which of them are kept is decided by their order in the file";
    (!tied.is_empty()).then(|| format!("scores are equal: {}; {which}", tied.join(", ")))
}

/// `= 0.0299`, or `≤ 0.0050` where no subset did as well.
fn p_text(p: f64, floor: f64) -> String {
    if p <= floor { number::p_at_most(p).unwrap_or_default() } else { format!("= {p:.4}") }
}

#[cfg(test)]
mod tests {
    use super::{p_text, ties};

    #[test]
    fn equal_scores_on_both_sides_of_a_cut_are_told() {
        assert_eq!(ties(&[3.0, 1.0, 2.0, 4.0], 2), None);
        let note = ties(&[1.0, 2.0, 2.0, 2.0, 9.0], 2).unwrap();
        assert!(note.contains("3 at the cut of the lowest, 3 at the cut of the highest"), "{note}");
        assert!(ties(&[0.0; 4], 3).unwrap().contains("4 at the cut of the lowest"));
        assert_eq!(ties(&[0.0; 4], 4), None);
    }

    #[test]
    fn at_the_floor_p_is_an_upper_bound() {
        let floor = 1.0 / 201.0;
        assert_eq!(p_text(floor, floor), "≤ 0.0050");
        assert_eq!(p_text(2.0 * floor, floor), "= 0.0100");
        assert_eq!(p_text(1.0, floor), "= 1.0000");
    }
}
