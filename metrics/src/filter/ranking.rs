//! Which images a score keeps.

use crate::error::{MetricError, Result, same_length};

/// The `keep` rows of lowest and of highest score, each ascending by row.
///
/// Among equal scores the row of lower index is kept, in both directions.
pub(super) struct Kept {
    pub(super) lowest: Vec<usize>,
    pub(super) highest: Vec<usize>,
}

pub(super) fn kept_rows(scores: &[f64], n: usize, keep: usize) -> Result<Kept> {
    same_length("the scores", scores.len(), n)?;
    if let Some(row) = scores.iter().position(|s| s.is_nan()) {
        let value = scores[row].to_string();
        return Err(MetricError::NonFinite { what: "the scores", row, column: 0, value });
    }
    let mut ascending: Vec<usize> = (0..n).collect();
    // Stable sorts: equal scores stay in index order. Adding 0 makes -0 equal to 0.
    ascending.sort_by(|&a, &b| (scores[a] + 0.0).total_cmp(&(scores[b] + 0.0)));
    let mut descending: Vec<usize> = (0..n).collect();
    descending.sort_by(|&a, &b| (scores[b] + 0.0).total_cmp(&(scores[a] + 0.0)));
    Ok(Kept { lowest: first(ascending, keep), highest: first(descending, keep) })
}

fn first(mut order: Vec<usize>, keep: usize) -> Vec<usize> {
    order.truncate(keep);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_are_broken_by_index_in_both_directions() {
        let kept = kept_rows(&[1.0, 0.0, 1.0, 0.0, 1.0], 5, 3).unwrap();
        assert_eq!(kept.lowest, [0, 1, 3]);
        assert_eq!(kept.highest, [0, 2, 4]);
        let equal = kept_rows(&[0.0, -0.0, 0.0, 0.0], 4, 2).unwrap();
        assert_eq!((equal.lowest, equal.highest), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn nan_scores_are_refused_with_their_row() {
        let error = kept_rows(&[1.0, f64::NAN], 2, 1).err().unwrap();
        assert!(matches!(error, MetricError::NonFinite { row: 1, .. }));
    }
}
