//! `dubench sample`: one network, without an experiment.

use std::path::Path;

use ndarray::{Array4, Axis, Ix4};

use super::answer::Context;
use super::arguments::SampleOptions;
use super::error::CliError;
use super::progress::TerminalProgress;
use super::sample_source::Source;
use super::{output, session, signal};
use crate::config::{ConfigError, Preset, snippet};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::report::label;
use crate::report::plot;
use crate::report::plot::sheet::{self, Exhibit, Sheet};
use crate::sampler::SamplerConfig;
use crate::stage::Stop;
use crate::stage::open::OpenModel;
use crate::stage::sample::{SampleRequest, Samples, sample};
use crate::store::elements::Numbers;
use crate::store::records::MethodScores;
use crate::store::samples::{SampleFiles, put};
use crate::store::{StoreError, arrays};
use crate::uncertainty::EstimatorPlan;
use crate::units::{ClassLabel, SampleId};

pub(super) fn run(options: &SampleOptions, context: Context) -> Result<Exit, CliError> {
    require_empty(&options.output)?;
    let stop = Stop::default();
    signal::listen(&stop).map_err(CliError::Signals)?;
    let source = Source::of(options)?;
    let sampler = source.sampler(options)?;
    refuse("--sampler", sampler.faults(source.axis()))?;
    let estimators = estimators(options, &sampler)?;
    let starts = options.starts.as_deref().map(states).transpose()?;
    let n = count(options, starts.as_ref(), source.n_images())?;
    let runtime = session::runtime(&options.device, options.device.batch.unwrap_or(16))?;
    let mut model = source.open(options, &runtime, &estimators)?;
    let request = SampleRequest {
        seed: options.seed,
        samples: (options.first..options.first + n).map(SampleId).collect(),
        starts,
        labels: options.labels.as_deref().map(|text| labels(text, n)).transpose()?,
        sampler,
        estimators,
        batch_size: session::positive(runtime.micro_batch)?,
    };
    let _made = SampleFiles::make(&options.output)?;
    let progress = TerminalProgress::new(context.quiet);
    let samples = sample(&request, &mut model, (&stop, &progress))?;
    let about = about(&request, &samples, &model, source.about());
    let mut names = write(options, (&request, &samples))?;
    put(&options.output, "sample.json", about.to_string().as_bytes())?;
    names.push("sample.json".to_owned());
    let text = text(&options.output, (&request, &samples), &names);
    context.answer(&about, &text)?;
    Ok(Exit::Complete)
}

/// What was made, at what cost, and in which files.
fn text(folder: &Path, (request, made): (&SampleRequest, &Samples), names: &[String]) -> String {
    let of_method =
        |method: &MethodScores| format!(", {} for {}", method.nfe.estimator, method.method);
    format!(
        "{}: {} images by {}, {} evaluations an image{}\n{}",
        folder.display(),
        request.samples.len(),
        request.sampler.label(),
        made.nfe_trajectory,
        made.methods.iter().map(of_method).collect::<String>(),
        names.join(", ")
    )
}

/// What was made stays: a folder with something in it is never written to.
fn require_empty(folder: &Path) -> Result<(), CliError> {
    output::folder("--output", folder)?;
    let n_entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(StoreError::read(folder)(error).into()),
    };
    if n_entries == 0 {
        return Ok(());
    }
    let shown = folder.display().to_string();
    Err(CliError::option("--output", &shown, "a folder that is new or empty"))
}

fn estimators(
    options: &SampleOptions,
    sampler: &SamplerConfig,
) -> Result<Vec<EstimatorPlan>, CliError> {
    let n_steps = sampler.n_steps();
    let defaults = Preset::Paper.defaults(n_steps);
    let mut plans: Vec<EstimatorPlan> = Vec::new();
    for text in options.estimator.iter().filter(|text| *text != "none") {
        let config = snippet::estimator("--estimator", text)?;
        refuse("--estimator", config.faults())?;
        let window = config.window(&defaults);
        window.check(n_steps).map_err(|error| {
            CliError::option("--estimator", text, &format!("another window: {error}"))
        })?;
        let plan = EstimatorPlan::resolve(&config, window, &defaults);
        if let Err(error) = plan.build() {
            return Err(CliError::option("--estimator", text, &format!("other values: {error}")));
        }
        if plans.iter().any(|known| known.name == plan.name) {
            let expected = "a name of its own: {kind: .., name: ..}";
            return Err(CliError::option("--estimator", text, expected));
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn refuse(option: &str, faults: Vec<Fault>) -> Result<(), ConfigError> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Invalid { path: option.into(), faults })
}

fn states(path: &Path) -> Result<Array4<f32>, CliError> {
    let loaded = arrays::load(path, &["x_T", "x", "arr_0"])?;
    let what = loaded.header.describe();
    let refuse = || {
        let message = format!("the array is {what}: expected states [n, c, h, w] of f32 or f64");
        CliError::from(StoreError::input(path, message))
    };
    let array = match loaded.numbers {
        Numbers::F32(array) => array,
        #[expect(clippy::cast_possible_truncation, reason = "networks take f32")]
        Numbers::F64(array) => array.mapv(|value| value as f32),
        Numbers::U8(_) => return Err(refuse()),
    };
    let states = array.into_dimensionality::<Ix4>().map_err(|_| refuse())?;
    if states.is_empty() || states.iter().any(|value| !value.is_finite()) {
        let message = format!("the array is {what}: it is empty, or values are not finite");
        return Err(StoreError::input(path, message).into());
    }
    Ok(states)
}

fn count(
    options: &SampleOptions,
    starts: Option<&Array4<f32>>,
    default: u64,
) -> Result<u64, CliError> {
    let given = starts.map(|states| states.shape()[0] as u64);
    let n = match (options.n, given) {
        (Some(n), Some(given)) if n != given => {
            let expected = format!("{given}, as many as --starts has, or no -n");
            return Err(CliError::option("-n", &n.to_string(), &expected));
        }
        (n, given) => n.or(given).unwrap_or(default),
    };
    if n == 0 {
        return Err(CliError::option("-n", "0", "at least 1"));
    }
    if options.first.checked_add(n).is_none() {
        let expected = format!("a sample that {n} others can be counted from");
        return Err(CliError::option("--first", &options.first.to_string(), &expected));
    }
    Ok(n)
}

/// One number for all, or an array.
fn labels(text: &str, n: u64) -> Result<Vec<ClassLabel>, CliError> {
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    if let Ok(label) = text.parse() {
        return Ok(vec![ClassLabel(label); n]);
    }
    let path = Path::new(text);
    let values = arrays::read_vector(path)?;
    let label = |value: &f64| -> Result<ClassLabel, CliError> {
        if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(value) {
            let message = format!("{value} is no class: expected whole numbers from 0");
            return Err(StoreError::input(path, message).into());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Ok(ClassLabel(*value as u32))
    };
    values.iter().map(label).collect()
}

fn about(
    request: &SampleRequest,
    samples: &Samples,
    model: &OpenModel,
    pipeline: serde_json::Value,
) -> serde_json::Value {
    let methods: Vec<_> = samples
        .methods
        .iter()
        .map(|method| {
            serde_json::json!({
                "name": method.method, "nfe": method.nfe.estimator,
                "network_seconds": method.network_seconds, "scores": method.score,
            })
        })
        .collect();
    serde_json::json!({
        "program": format!("dubench {}", env!("CARGO_PKG_VERSION")),
        "runtime": model.provenance,
        "model": model.denoiser.spec().name,
        "pipeline": pipeline,
        "seed": request.seed,
        "samples": request.samples.iter().map(|id| id.0).collect::<Vec<_>>(),
        "starts": if request.starts.is_some() { "given" } else { "keyed noise" },
        "labels": samples.labels.as_ref().map(|all| all.iter().map(|y| y.0).collect::<Vec<_>>()),
        "sampler": request.sampler,
        "estimators": request.estimators,
        "nfe_trajectory": samples.nfe_trajectory,
        "network_seconds": samples.network_seconds,
        "methods": methods,
    })
}

fn write(
    options: &SampleOptions,
    (request, samples): (&SampleRequest, &Samples),
) -> Result<Vec<String>, CliError> {
    let files = SampleFiles {
        samples: &request.samples,
        x0: &samples.x0,
        images: &samples.images,
        labels: samples.labels.as_deref(),
        methods: &samples.methods,
    };
    let mut names = files.write(&options.output)?;
    if let Some(figure) = Sheet::new(&exhibits(request, samples))? {
        let [_, png] = plot::files(&figure)?;
        put(&options.output, "uncertainty.png", &png.bytes)?;
        names.push("uncertainty.png".to_owned());
    }
    Ok(names)
}

/// The ends of every ranking.
fn exhibits(request: &SampleRequest, samples: &Samples) -> Vec<Exhibit> {
    let mut exhibits = Vec::new();
    for (method, plan) in samples.methods.iter().zip(&request.estimators) {
        exhibits.extend(sheet::ends(&method.score).map(|(end, row)| Exhibit {
            name: method.method.clone(),
            method: label::named(plan.rule.kind(), &method.method),
            end,
            sample: request.samples[row],
            score: method.score[row],
            image: samples.images.index_axis(Axis(0), row).to_owned(),
            map: method.map.as_ref().map(|maps| maps[row].sum_axis(Axis(0))),
        }));
    }
    exhibits
}
