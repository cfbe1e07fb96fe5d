//! `dubench metric pr`.

use dubench_metrics::manifold::{Convention, OverlapOptions, overlap};
use serde::Serialize;

use super::copies::Copies;
use super::input::{Input, Need};
use super::notes::with_notes;
use crate::cli::answer::Context;
use crate::cli::arguments::PrOptions;
use crate::cli::error::CliError;

#[derive(Serialize)]
struct Answer {
    precision: f64,
    precision_se: f64,
    recall: f64,
    recall_se: f64,
    density: f64,
    density_se: f64,
    coverage: f64,
    coverage_se: f64,
    k: usize,
    n_real: usize,
    n_fake: usize,
    notes: Vec<String>,
}

pub(super) fn run(options: &PrOptions, context: Context) -> Result<(), CliError> {
    let convention = convention(&options.convention)?;
    let mut input = Input::new(&options.pair.features, context)?;
    let real = input.open(&options.pair.real, Need::Rows)?;
    let fake = input.open(&options.pair.fake, Need::Rows)?;
    real.check_comparable(&fake)?;
    let rules = OverlapOptions { convention, k: options.k };
    let found = overlap(fake.features()?, real.features()?, &rules)?;
    let answer = Answer {
        precision: found.precision,
        precision_se: found.precision_se,
        recall: found.recall,
        recall_se: found.recall_se,
        density: found.density,
        density_se: found.density_se,
        coverage: found.coverage,
        coverage_se: found.coverage_se,
        k: found.k,
        n_real: real.features()?.n(),
        n_fake: fake.features()?.n(),
        notes: Copies::of(&real, &fake).notes(&real, &fake),
    };
    context.answer(&answer, &with_notes(answer.text(&options.convention), &answer.notes))
}

fn convention(name: &str) -> Result<Convention, CliError> {
    match name {
        "adm" => Ok(Convention::Adm),
        "torch-fidelity" => Ok(Convention::TorchFidelity),
        "prdc" => Ok(Convention::Prdc),
        other => Err(CliError::option("--convention", other, "adm, torch-fidelity or prdc")),
    }
}

impl Answer {
    /// The answer in words, by the rules of `convention`.
    fn text(&self, convention: &str) -> String {
        format!(
            "precision  {:.4} ± {:.4}\nrecall     {:.4} ± {:.4}\ndensity    {:.4} ± {:.4}\ncoverage   {:.4} ± {:.4}\nk = {}, rules of {convention}",
            self.precision,
            self.precision_se,
            self.recall,
            self.recall_se,
            self.density,
            self.density_se,
            self.coverage,
            self.coverage_se,
            self.k
        )
    }
}
