//! Numbers of evaluations, by names that no layout of rows changes.

use super::adapter::{Lab, as_opened};
use super::experiments::{images, reconstructed};
use crate::store::records::MetricRow;

/// What a number is called here, and where it stands in a row of today: arm, sampler, method, metric, argument, side. A
/// method of `*` is any.
type Wanted = [&'static str; 7];

const FILTERING: &str = include_str!("../../../experiment/tiny.yaml");
const FILTERED: [Wanted; 7] = [
    ["fid of the pool", "pool", "ddim-50", "full", "fid", "", ""],
    ["fid of random subsets", "pool", "ddim-50", "random", "fid", "", ""],
    ["fid of the lowest sample_var", "pool", "ddim-50", "sample_var", "fid", "", "lowest"],
    ["fid of the highest centered", "pool", "ddim-50", "centered", "fid", "", "highest"],
    [
        "fid of the lowest total variation",
        "pool",
        "ddim-50",
        "total_variation",
        "fid",
        "",
        "lowest",
    ],
    ["delta of two scores", "pool", "ddim-50", "sample_var", "delta", "centered", "lowest"],
    ["rank correlation", "pool", "ddim-50", "centered", "spearman", "sample_var", ""],
];

const RECONSTRUCTED: [Wanted; 4] = [
    ["rmse of a reconstruction", "match", "ddim-8", "reconstruction", "rmse", "", ""],
    ["ause of sample_var", "match", "ddim-8", "sample_var", "ause", "", "as_is"],
    ["aurg of sample_var", "match", "ddim-8", "sample_var", "aurg", "", "as_is"],
    ["aurg of mc_dropout, inverted", "half_t", "ddim-8", "mc_dropout", "aurg", "", "inverted"],
];

const GUIDANCE: &str = include_str!("../../../experiment/tiny_guidance.yaml");
const GUIDED: [Wanted; 4] = [
    ["fid unguided", "unguided", "ddim-10", "*", "fid", "", ""],
    ["fid of posterior", "posterior", "ddim-10", "*", "fid", "", ""],
    ["delta of authors_posterior", "authors_posterior", "ddim-10", "*", "delta", "unguided", ""],
    ["displacement of posterior", "posterior", "ddim-10", "*", "displacement", "", ""],
];

/// A few numbers of every protocol, each with its name.
pub(super) fn numbers(sampler: &str) -> Vec<(String, f64)> {
    let experiments: [(&str, &[Wanted]); 3] =
        [(FILTERING, &FILTERED), (&reconstructed(sampler), &RECONSTRUCTED), (GUIDANCE, &GUIDED)];
    let rows = |text: &str| {
        let lab = Lab::new(text, &images(), &as_opened);
        lab.blocks();
        lab.bench.all("work", 3).unwrap().numbers.rows
    };
    let of = |(text, wanted): (&str, &[Wanted])| -> Vec<_> {
        let rows = rows(text);
        wanted.iter().map(|wanted| (wanted[0].to_owned(), number(&rows, wanted))).collect()
    };
    experiments.into_iter().flat_map(of).collect()
}

fn number(rows: &[MetricRow], wanted: &Wanted) -> f64 {
    let [name, arm, sampler, method, metric, argument, side] = *wanted;
    let mut found = rows.iter().filter(|row| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let here = [&row.arm, &row.sampler, &row.metric, &text(&row.argument), &text(&row.side)]
            == [arm, sampler, metric, argument, side];
        here && (method == "*" || row.method == method)
    });
    let row = found.next().unwrap_or_else(|| panic!("no row is {name}"));
    assert!(found.next().is_none(), "two rows are {name}");
    row.value.unwrap()
}
