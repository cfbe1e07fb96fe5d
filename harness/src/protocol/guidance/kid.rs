//! Kernel distances of arms, and their differences over the same starts: unbiased where FID, with fewer images than features,
//! is mostly bias.

use dubench_metrics::{KidStudy, MetricError, compare_kid_paired};
use ndarray::{Array2, ArrayView2, s};

use super::UNGUIDED;
use super::samples::ArmSamples;
use crate::protocol::rows::holm_rows_as;
use crate::store::records::MetricRow;

/// Random exchanges of the images of pairs behind a p-value.
const EXCHANGES: usize = 999;

/// A difference: arm, other arm, what it is called.
struct Pair<'a> {
    one: usize,
    other: usize,
    argument: &'a str,
}

/// `kid` of every arm; of guided arms `delta_kid` and its p-values against the unguided arm of the same sampler, and between
/// the rules that are held against each other. Families of tests are those of FID: the listed arms of a sampler, the cells of
/// the sweep, the pairs of rules of a sampler.
///
/// # Errors
/// [`MetricError`] for features of two dimensions or values that are not finite.
pub(super) fn rows(
    arms: &[ArmSamples<'_>],
    (real, seed): (&Array2<f32>, u64),
) -> Result<Vec<MetricRow>, MetricError> {
    let n_real = Some(real.nrows() as u64);
    let mut rows = Vec::new();
    for arm in arms {
        let n = arm.features.nrows();
        let own = KidStudy::new(arm.features, real)?.sets(&[(0..n).collect()])?;
        rows.extend(own.iter().map(|own| arm.row("kid", own.kid).with_se(Some(own.se))));
    }
    for family in families(arms) {
        let mut tested = Vec::new();
        for pair in &family {
            let [delta, p] = difference(arms, pair, (real.view(), seed))?;
            rows.push(delta);
            tested.push(p);
        }
        let adjusted = holm_rows_as("p_kid_holm", &tested.iter().collect::<Vec<_>>())?;
        rows.extend(tested.into_iter().chain(adjusted));
    }
    Ok(rows.into_iter().map(|row| MetricRow { n_reference: n_real, ..row }).collect())
}

/// A sampler, whether its pairs are cells of the sweep, and whether they are two rules.
type Family<'a> = (&'a str, bool, bool);

/// All differences, by family.
fn families<'a>(arms: &'a [ArmSamples<'_>]) -> Vec<Vec<Pair<'a>>> {
    let mut families: Vec<(Family<'a>, Vec<Pair<'a>>)> = Vec::new();
    let mut add = |key: Family<'a>, pair: Pair<'a>| match families
        .iter_mut()
        .find(|(known, _)| *known == key)
    {
        Some((_, pairs)) => pairs.push(pair),
        None => families.push((key, vec![pair])),
    };
    for (one, arm) in arms.iter().enumerate() {
        let sampler = arm.facts.arm[1].as_str();
        if let Some(other) = arm.base_among(arms) {
            let key = (sampler, arm.cell.is_some(), false);
            add(key, Pair { one, other, argument: UNGUIDED });
        }
    }
    for (one, arm) in arms.iter().enumerate() {
        let sampler = arm.facts.arm[1].as_str();
        for (other, its) in arms[..one].iter().enumerate().filter(|(_, its)| arm.answers(its)) {
            add((sampler, false, true), Pair { one, other, argument: &its.facts.arm[0] });
        }
    }
    families.into_iter().map(|(_, pairs)| pairs).collect()
}

/// One arm less another, over the starts that both have, and its p-value.
fn difference(
    arms: &[ArmSamples<'_>],
    pair: &Pair<'_>,
    (real, seed): (ArrayView2<'_, f32>, u64),
) -> Result<[MetricRow; 2], MetricError> {
    let (one, other) = (&arms[pair.one], &arms[pair.other]);
    let n = one.features.nrows().min(other.features.nrows());
    let [a, b] = [one, other].map(|arm| arm.features.slice(s![..n, ..]));
    let found = compare_kid_paired(a.into(), b.into(), real.into(), (EXCHANGES, seed))?;
    let row = |metric: &str, value: f64| one.row(metric, value).over(n).of(pair.argument);
    let delta = row("delta_kid", found.delta).with_se(Some(found.se));
    let counts = (found.as_far, found.permutations);
    let exchanges = format!("by {} exchanges of pairs", found.permutations);
    Ok([delta, row("p_kid", found.p()).counted(counts, &exchanges)?])
}

#[cfg(test)]
mod tests {
    use dubench_metrics::{Kernel, MmdEstimator, mmd};

    use super::*;
    use crate::protocol::RunFacts;
    use crate::protocol::example::weyl;
    use crate::units::Nfe;

    fn arm<'a>(name: &'a str, features: &'a Array2<f32>) -> ArmSamples<'a> {
        ArmSamples {
            kind: name,
            facts: RunFacts { arm: [name, "ddim-5"].map(str::to_owned), ..RunFacts::default() },
            features: features.view(),
            is_unguided: name == "unguided",
            cell: None,
            n_draws: Some(5),
            nfe_trajectory: 5,
            nfe: Nfe::default(),
            seconds: 1.0,
            displacement: &[],
            paper: None,
        }
    }

    #[test]
    fn differences_are_those_of_unbiased_distances_over_common_starts() {
        let (real, base) = (weyl(30, 0.0), weyl(40, 0.1));
        let (up, down) = (weyl(40, 0.6), weyl(25, 0.1));
        let arms = [arm("unguided", &base), arm("up", &up), arm("down", &down)];
        let rows = rows(&arms, (&real, 1)).unwrap();
        let find = |arm: &str, metric: &str, of: &str| {
            let own = |row: &&MetricRow| {
                row.arm == arm && row.metric == metric && row.argument.as_deref() == Some(of)
            };
            rows.iter().find(own).unwrap()
        };
        let direct = |x: &Array2<f32>, n: usize| {
            let x = x.slice(s![..n, ..]);
            mmd(x, &real, Kernel::Cubic, MmdEstimator::Unbiased).unwrap().value
        };
        let delta = find("up", "delta_kid", "unguided");
        assert!((delta.value.unwrap() - (direct(&up, 40) - direct(&base, 40))).abs() < 1e-12);
        assert_eq!((delta.n, delta.n_reference), (Some(40), Some(30)));
        let between = find("down", "delta_kid", "up");
        assert!((between.value.unwrap() - (direct(&down, 25) - direct(&up, 25))).abs() < 1e-12);
        let p = find("up", "p_kid", "unguided");
        assert_eq!((p.value, p.ci_low), (Some(0.001), Some(0.0)));
        // Two guided arms are one family; the same images as the unguided ones are no difference.
        assert_eq!(find("up", "p_kid_holm", "unguided").value, Some(0.002));
        assert_eq!(find("down", "p_kid", "unguided").value, Some(1.0));
        let own: Vec<_> = rows.iter().filter(|row| row.metric == "kid").collect();
        assert_eq!(own.len(), 3);
        assert!((own[1].value.unwrap() - direct(&up, 40)).abs() < 1e-12);
    }
}
