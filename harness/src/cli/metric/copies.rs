//! Images that are there more than once, within a set and across the sets.

use std::collections::BTreeSet;

use dubench_metrics::{Features, equal_rows};

use super::input::{Opened, SampleSet};

/// Copies among the images of two sets.
pub(super) struct Copies {
    /// Group of each generated image; images of a group are equal.
    pub(super) fake_groups: Vec<usize>,
    /// Whether both sets hold the same images, each as often.
    pub(super) same: bool,
    notes: Vec<String>,
}

impl Copies {
    /// Looks for copies in a pair of sets; statistics have no images.
    pub(super) fn of(real: &Opened, fake: &Opened) -> Self {
        let (real_rows, fake_rows) = (rows(real), rows(fake));
        let sets: Vec<Features<'_>> = real_rows.into_iter().chain(fake_rows).collect();
        let mut groups = equal_rows(&sets).into_iter();
        let real_groups = real_rows.and_then(|_| groups.next());
        let fake_groups = fake_rows.and_then(|_| groups.next()).unwrap_or_default();
        let mut notes = Vec::new();
        for (opened, groups) in [(real, real_groups.as_deref()), (fake, Some(&fake_groups[..]))] {
            notes.extend(groups.and_then(|groups| repeated(opened, groups)));
        }
        let real_groups = real_groups.unwrap_or_default();
        let in_real: BTreeSet<usize> = real_groups.iter().copied().collect();
        let shared = fake_groups.iter().filter(|group| in_real.contains(group)).count();
        let same = match (real.set(), fake.set()) {
            (SampleSet::Statistics(a), SampleSet::Statistics(b)) => a == b,
            _ => !fake_groups.is_empty() && sorted(&real_groups) == sorted(&fake_groups),
        };
        if same {
            notes.push("both sets are the same images: the distance of a set to itself says nothing of other images".to_owned());
        } else if shared > 0 {
            let (n, path) = (fake_groups.len(), real.path().display());
            notes.push(format!(
                "{shared} of {n} images stand in {path} too: the sets are not independent"
            ));
        }
        Self { fake_groups, same, notes }
    }

    /// How many generated images differ from each other.
    pub(super) fn n_distinct(&self) -> usize {
        self.fake_groups.iter().collect::<BTreeSet<_>>().len()
    }

    /// What a reader of the number should know, of the files first.
    pub(super) fn notes(&self, real: &Opened, fake: &Opened) -> Vec<String> {
        [real.notes(), fake.notes(), &self.notes].concat()
    }
}

fn rows(opened: &Opened) -> Option<Features<'_>> {
    match opened.set() {
        SampleSet::Features(rows) => Some(rows.as_features()),
        SampleSet::Statistics(_) => None,
    }
}

fn sorted(groups: &[usize]) -> Vec<usize> {
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    groups
}

fn repeated(opened: &Opened, groups: &[usize]) -> Option<String> {
    let distinct = groups.iter().collect::<BTreeSet<_>>().len();
    let path = opened.path().display();
    (distinct < groups.len()).then(|| {
        format!(
            "{path}: {} of {} images are copies of others ({distinct} distinct)",
            groups.len() - distinct,
            groups.len()
        )
    })
}
