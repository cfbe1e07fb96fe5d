//! What a run says: rows, dashes, failures, gates, exhibits.

use ndarray::Array4;

use super::{Bench, one_network};
use crate::exit::{Exit, Exits};
use crate::model::{Denoiser, DenoiserSpec, ModelError, NetworkInput};
use crate::plan::Shard;
use crate::stage::evaluate::RunEvidence;
use crate::stage::evaluate::evaluate;
use crate::stage::evaluate::evaluation::Evaluation;
use crate::stage::generate::generate;
use crate::stage::run::status;
use crate::stage::{StageError, Stop};
use crate::store::layout::StageName;
use crate::store::publish;

#[test]
fn every_row_of_the_table_is_there_and_a_second_run_finds_it() {
    let bench = Bench::new();
    let first = bench.all("work", 16).unwrap();
    assert!(!first.found);
    let value = |method: &str, metric: &str, side: Option<&str>| {
        let row = first.numbers.rows.iter().find(|row| {
            row.method == method && row.metric == metric && row.side.as_deref() == side
        });
        row.unwrap_or_else(|| panic!("{method} {metric} {side:?}")).clone()
    };
    assert_eq!(value("full", "fid", None).n, Some(48));
    let random = value("random", "fid", None);
    assert_eq!((random.n, random.n_reference), (Some(40), Some(1000)));
    for method in ["sample_var", "centered", "total_variation", "mean_squared_epsilon"] {
        for side in ["lowest", "highest"] {
            let fid = value(method, "fid", Some(side));
            assert!(fid.value.unwrap() > 0.0 && fid.se.unwrap() > 0.0);
            let delta = value(method, "delta", Some(side));
            let difference = fid.value.unwrap() - random.value.unwrap();
            assert!((delta.value.unwrap() - difference).abs() < 1e-12);
            let p = value(method, "p_value", Some(side)).value.unwrap();
            assert!(p > 0.0 && p <= 1.0);
            let significant = fid.verdict.as_deref() != Some("n.s.");
            assert_eq!(significant, p < 0.05, "{method} {side} {p}");
        }
    }
    assert_eq!(value("sample_var", "fid", Some("lowest")).nfe_estimator, Some(20));
    assert_eq!(value("sample_var", "fid", Some("lowest")).nfe_trajectory, Some(50));
    assert_eq!(value("total_variation", "fid", Some("lowest")).nfe_estimator, Some(0));
    let rho = value("centered", "spearman", None);
    assert_eq!((rho.argument.as_deref(), rho.value.is_some()), (Some("sample_var"), true));
    let second = bench.all("work", 16).unwrap();
    assert!(second.found);
    assert_eq!(Evaluation { found: false, ..second }, first);
}

#[test]
fn missing_blocks_are_listed_and_nothing_is_evaluated() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert_eq!(error.exit(), Exit::Incomplete);
    assert!(error.to_string().starts_with("3 of 3 blocks of generate are missing: 0-2"), "{error}");
    bench.generate(&run, 16).unwrap();
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert!(error.to_string().starts_with("3 of 3 blocks of features are missing"), "{error}");
    bench.features(&run).unwrap();
    evaluate(&run, &bench.experiment).unwrap();
    let path = bench.part("work", StageName::Generate, 1);
    std::fs::remove_file(&path).unwrap();
    let error = evaluate(&run, &bench.experiment).unwrap_err();
    assert!(error.to_string().starts_with("1 of 3 blocks of generate are missing: 1"), "{error}");
    assert_eq!(bench.features(&run).unwrap_err().exit(), Exit::Incomplete);
}

/// Answers with a NaN at one call.
struct Faulty {
    inner: Box<dyn Denoiser>,
    calls_left: u32,
}

impl Denoiser for Faulty {
    fn spec(&self) -> &DenoiserSpec {
        self.inner.spec()
    }

    fn epsilon(&mut self, input: NetworkInput<'_>) -> Result<Array4<f32>, ModelError> {
        let mut out = self.inner.epsilon(input)?;
        self.calls_left = self.calls_left.wrapping_sub(1);
        if self.calls_left == 0 {
            out[[1, 0, 0, 0]] = f32::NAN;
        }
        Ok(out)
    }
}

#[test]
fn a_nan_fails_its_block_alone_and_no_metric_is_computed_over_the_rest() {
    let bench = Bench::new();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let error = generate(&run, one_network(16), &mut || {
        let mut model = bench.open()?;
        model.denoiser = Box::new(Faulty { inner: model.denoiser, calls_left: 100 });
        Ok(model)
    })
    .unwrap_err();
    assert_eq!(error.exit(), Exit::Gate, "{error}");
    let StageError::NotFinite { failed, .. } = &error else { panic!("{error}") };
    let listed = &status(&bench.plan, &run.layout)[0];
    assert_eq!((listed.n_present, &listed.failed), (2, failed));
    assert_eq!(evaluate(&run, &bench.experiment).unwrap_err().exit(), Exit::Incomplete);
    // The next run, with a sound model, goes on.
    bench.generate(&run, 16).unwrap();
    assert!(status(&bench.plan, &run.layout)[0].failed.is_empty());
}

#[test]
fn a_method_that_the_model_cannot_serve_is_a_dash_with_its_reason() {
    let bench = Bench::edited(|text| {
        text.replace("estimators:\n", "estimators:\n  - {kind: mc_dropout}\n")
    });
    let evaluation = bench.all("work", 16).unwrap();
    let rows: Vec<_> =
        evaluation.numbers.rows.iter().filter(|row| row.method == "mc_dropout").collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].value, None);
    let reason = rows[0].reason.as_deref().unwrap();
    assert!(reason.starts_with("not applicable: ") && reason.contains("Dropout"), "{reason}");
}

#[test]
fn published_numbers_are_joined_by_key_and_a_wrong_key_is_refused() {
    let published = "published: {file: table.yaml, network: net, dataset: toy, sampler: DDIM}\n";
    let bench = Bench::edited(|text| {
        text.replace("artefact: none\n", &format!("artefact: none\n{published}"))
    });
    let table = "artefact: none\nsource: s\ntitle: t\nbetter: {fid: lower}\nmethods: [{name: random, label: r}, {name: sample_var, label: s}, {name: centered, label: c}]\ncaveats: []\n\
                 settings:\n  - {network: net, dataset: toy, sampler: DDIM, values: {fid: {random: 2.5, sample_var: 1.5, centered: null}}}\n";
    let path = bench.folder.path().join("table.yaml");
    publish(&path, table.as_bytes()).unwrap();
    let rows = bench.all("work", 16).unwrap().numbers.rows;
    let paper = |method: &str, side: Option<&str>| {
        let row = rows
            .iter()
            .find(|row| row.method == method && row.metric == "fid" && row.side.as_deref() == side);
        row.unwrap().paper_value
    };
    assert_eq!(paper("random", None), Some(2.5));
    assert_eq!(paper("sample_var", Some("lowest")), Some(1.5));
    assert_eq!(paper("sample_var", Some("highest")), None);
    assert_eq!(paper("centered", Some("lowest")), None);
    publish(&path, table.replace("network: net", "network: other").as_bytes()).unwrap();
    let error = bench.all("again", 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(
        error.to_string().contains("net / toy / DDIM; there are other / toy / DDIM"),
        "{error}"
    );
}

#[test]
fn a_gate_outside_its_band_ends_with_its_own_code_after_writing() {
    let gate = "gates: [{scale: smoke, method: full, metric: fid, min: 100, max: 101}]\nscales:";
    let bench = Bench::edited(|text| text.replace("scales:", gate));
    let error = bench.all("work", 16).unwrap_err();
    assert_eq!(error.exit(), Exit::Gate);
    assert!(error.to_string().contains("accepted 100..=101"), "{error}");
    assert_eq!(bench.all("work", 16).unwrap_err().exit(), Exit::Gate);
}

#[test]
fn a_report_has_its_tables_its_figures_and_its_remarks() {
    let bench = Bench::new();
    let first = bench.all("work", 16).unwrap();
    let stop = Stop::default();
    let run = bench.run("work", Shard::whole(), &stop);
    let mut evidence = RunEvidence::open(&run, &bench.experiment).unwrap();
    let protocol = &bench.plan.protocol;
    let files = protocol.report(&mut evidence, &first.numbers).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    for name in ["table.md", "table.tex", "plots/certain-and-uncertain.svg"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let remarks = protocol.remarks(&evidence);
    assert!(remarks[0].contains("48 images, 40 kept"), "{remarks:?}");
}
