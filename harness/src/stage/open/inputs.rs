//! What a plan takes from files: hashes of model, features, reference and real images.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::canonical::fingerprint;
use crate::config::model_yaml::{MODEL_FILE, TaskYaml};
use crate::config::pipeline::{ClipFolder, PipelineIndex};
use crate::config::precision_yaml::PrecisionYaml;
use crate::config::{Common, FeaturesConfig, ModelConfig, ModelYaml, ReferenceConfig, ScaleConfig};
use crate::experiment::plan::{Encoding, ModelFacts};
use crate::experiment::{Experiment, Plan, PlanInputs};
use crate::model::clip::ClipScore;
use crate::model::pipeline::{self, Pipeline};
use crate::model::{ExtractorId, FeatureExtractor, ModelError};
use crate::plan::{
    ImagesIdentity, ModelIdentity, PlanError, PosteriorIdentity, RealIdentity, ReferenceIdentity,
    StartsIdentity, real_images,
};
use crate::protocol::{PosteriorNeed, Texts};
use crate::store::StoreError;
use crate::store::digest::{ContentHasher, sha256_of_file};
use crate::store::laplace::{self, LaplaceFile};
use crate::store::starts::StartsFile;
use crate::store::statistics::Statistics;
use crate::units::ClassLabel;

use super::pixels::PixelFeatures;
use super::{ANALYTIC_NAME, identities};
use crate::stage::StageError;
use crate::stage::statistics::source::chosen;
use crate::stage::statistics::{BLOCK_IMAGES, ImageSource, StatisticsError, open};

/// The plan of an experiment at a scale, with the hashes of everything that it reads.
///
/// # Errors
/// [`StageError::Plan`] for an unknown scale, statistics of other features and arms that the model cannot run;
/// [`StageError::Store`] for files that are missing or damaged.
pub fn plan(experiment: &Experiment, scale: &str) -> Result<Plan, StageError> {
    let sizes = scale_of(experiment, scale)?;
    let needs = experiment.protocol.needs();
    let wanted = needs.features || (needs.agreement && experiment.features_of(sizes).is_some());
    let extractor = wanted.then(|| extractor_id(experiment, sizes)).transpose()?;
    let reference = reference_of(experiment, sizes)?;
    let config = experiment.model_of(sizes);
    let (model, facts) = model_identity(experiment, config)?;
    let takes = (sizes, model.name.as_str(), facts);
    let images =
        needs.images.map(|images| images_identity(experiment, images, takes)).transpose()?;
    let drawn = |n| real_identity(experiment, sizes, (n, reference.as_ref()));
    let real = sizes.n_real.map(drawn).transpose()?;
    let posterior = posterior(experiment, config)?;
    let posterior = posterior.map(|(_, file, need)| PosteriorIdentity {
        sha256: laplace::content_digest(&file),
        n_images: file.n_images,
        noise: need.settings.noise,
        prior_precision: need.settings.prior_precision,
    });
    let starts = starts_identity(experiment, (&model.name, facts))?;
    let inputs = PlanInputs { model, facts, extractor, reference, images, real, posterior, starts };
    Ok(Plan::resolve(experiment, scale, inputs)?)
}

/// What the model's description says of the model of a scale.
///
/// # Errors
/// [`StageError`] for a description that is missing or wrong.
pub fn facts(common: &Common, scale: &str) -> Result<ModelFacts, StageError> {
    Ok(model_identity(common, common.model_of(scale_of(common, scale)?))?.1)
}

/// The starts of an experiment that takes them from a file.
///
/// # Errors
/// [`StoreError`] for a file that is none.
///
/// [`StoreError`]: crate::store::StoreError
pub fn starts(common: &Common) -> Result<Option<(PathBuf, StartsFile)>, StageError> {
    let Some(config) = &common.starts else { return Ok(None) };
    let path = common.resolve(&config.path);
    let file = StartsFile::open(&path)?;
    Ok(Some((path, file)))
}

/// Identity of the starts, held against what the model takes.
fn starts_identity(
    common: &Common,
    (model, facts): (&str, ModelFacts),
) -> Result<Option<StartsIdentity>, StageError> {
    let Some((path, file)) = starts(common)? else { return Ok(None) };
    let refuse = |message: String| StageError::from(StoreError::input(&path, message));
    if file.shape() != facts.shape {
        let (got, expected) = (file.shape(), facts.shape);
        return Err(refuse(format!("its states are {got:?}, those of {model} {expected:?}")));
    }
    match (facts.n_classes, file.classes()) {
        (None, _) => {}
        (Some(n), None) => {
            let message = format!("{model} takes one of {n} classes: add y [n] beside x_T");
            return Err(refuse(message));
        }
        (Some(n), Some(classes)) => {
            if let Some(at) = classes.iter().position(|class| class.0 >= n) {
                let (class, last) = (classes[at].0, n.saturating_sub(1));
                let message =
                    format!("y of sample {at} is {class}, the classes of {model} are 0 to {last}");
                return Err(refuse(message));
            }
        }
    }
    Ok(Some(StartsIdentity { sha256: sha256_of_file(&path)?, n: file.n() }))
}

/// The posterior that an experiment takes for a bundle, where it takes one: path, content, settings. A model with a closed form
/// brings its own.
///
/// # Errors
/// [`ModelError::NotApplicable`] where nobody has fitted one; [`StageError::Store`] for a file that is damaged or of another
/// model.
pub fn posterior<'a>(
    experiment: &'a Experiment,
    config: &ModelConfig,
) -> Result<Option<(PathBuf, LaplaceFile, PosteriorNeed<'a>)>, StageError> {
    let (Some(need), ModelConfig::Bundle { path, .. }) =
        (experiment.protocol.needs().posterior, config)
    else {
        return Ok(None);
    };
    let folder = experiment.resolve(path);
    let identity = identities::identity(&folder)?;
    let path = folder.join(&need.settings.file);
    if !path.try_exists().unwrap_or(true) {
        let reason = format!(
            "{} is not there: run `dubench fit-laplace {} -o {}`, or name another file by protocol.{}.posterior.file",
            path.display(),
            folder.display(),
            path.display(),
            need.method
        );
        let (method, model) = (need.method, identity.name);
        return Err(ModelError::NotApplicable { method, model, reason }.into());
    }
    let file = laplace::read(&path)?;
    file.check_model(&path, (&identity.name, &identity.files))?;
    Ok(Some((path, file, need)))
}

/// The sizes of a scale.
///
/// # Errors
/// [`PlanError::UnknownScale`].
pub fn scale_of<'a>(common: &'a Common, scale: &str) -> Result<&'a ScaleConfig, PlanError> {
    common.scales.get(scale).ok_or_else(|| PlanError::UnknownScale {
        experiment: common.name.clone(),
        scale: scale.to_owned(),
        known: common.scales.keys().cloned().collect(),
    })
}

/// The reference of a scale.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn reference_config<'a>(
    common: &'a Common,
    sizes: &'a ScaleConfig,
) -> Result<&'a ReferenceConfig, StageError> {
    common.reference_of(sizes).ok_or(StageError::Absent { what: "reference statistics" })
}

/// The feature network of a scale.
///
/// # Errors
/// [`StageError::Absent`] for a protocol that has none.
pub fn features_config<'a>(
    common: &'a Common,
    sizes: &'a ScaleConfig,
) -> Result<&'a FeaturesConfig, StageError> {
    common.features_of(sizes).ok_or(StageError::Absent { what: "feature network" })
}

/// Prompts of a scale's model; `None` of one that takes no text.
///
/// # Errors
/// [`StageError::Model`] for a file of prompts that cannot be read.
pub fn prompts(common: &Common, sizes: &ScaleConfig) -> Result<Option<Vec<String>>, StageError> {
    match common.model_of(sizes) {
        ModelConfig::Pipeline(config) => Ok(Some(pipeline::prompts(config, &common.folder)?)),
        ModelConfig::Analytic(_) | ModelConfig::Bundle { .. } => Ok(None),
    }
}

/// What a scale's model is asked for; `None` of one that takes no text.
///
/// # Errors
/// As [`prompts`]; [`StageError::Config`] for a pipeline that cannot be read.
pub fn texts(common: &Common, sizes: &ScaleConfig) -> Result<Option<Texts>, StageError> {
    let (Some(prompts), ModelConfig::Pipeline(config)) =
        (prompts(common, sizes)?, common.model_of(sizes))
    else {
        return Ok(None);
    };
    let note = PipelineIndex::read(&common.resolve(&config.path))?.note;
    Ok(Some(Texts { prompts, note }))
}

/// The CLIP export in a folder, and the prompts that images are held against.
///
/// # Errors
/// As [`prompts`]; [`StageError::Config`] for a folder that is none.
pub fn clip(
    common: &Common,
    sizes: &ScaleConfig,
    path: &Path,
) -> Result<(ClipFolder, Vec<String>), StageError> {
    let prompts = prompts(common, sizes)?;
    let prompts = prompts.ok_or(StageError::Absent { what: "prompt (a text-to-image model)" })?;
    Ok((ClipFolder::read(&common.resolve(path))?, prompts))
}

/// Real images, by the name that `dubench stats` takes, else by a path relative to the experiment file.
///
/// # Errors
/// [`StageError::Images`] when there is no such data set.
pub fn images(common: &Common, name: &str) -> Result<Box<dyn ImageSource>, StageError> {
    if open::is_named(name) {
        return Ok(open::open(name)?);
    }
    let path = common.resolve(Path::new(name));
    Ok(open::open(&path.to_string_lossy())?)
}

/// Identity of the images that the scale takes: their number in the set, and a hash of their pixels; of their classes too
/// where the model asks for some.
fn images_identity(
    common: &Common,
    name: &str,
    (sizes, model, facts): (&ScaleConfig, &str, ModelFacts),
) -> Result<ImagesIdentity, StageError> {
    let mut source = images(common, name)?;
    let n = usize::try_from(sizes.n_pool).unwrap_or(usize::MAX);
    if source.len() < n {
        let message = format!("has {} images, scale n_pool asks for {n}", source.len());
        return Err(StatisticsError::input(Path::new(name), message).into());
    }
    let mut hasher = ContentHasher::default();
    let mut dim = 0;
    for start in (0..n).step_by(BLOCK_IMAGES) {
        let images = source.read(start..n.min(start + BLOCK_IMAGES))?;
        dim = images.len() / images.dim().0.max(1);
        let sides = images.shape().iter().flat_map(|side| (*side as u64).to_le_bytes());
        let pixels: Vec<u8> = images.iter().copied().collect();
        hasher.piece("shape", &sides.collect::<Vec<u8>>());
        hasher.piece("images", &pixels);
    }
    if let Some(n_classes) = facts.n_classes {
        let classes = classes(source.as_mut(), 0..n, (model, n_classes))?;
        let bytes: Vec<u8> = classes.iter().flat_map(|class| class.0.to_le_bytes()).collect();
        hasher.piece("classes", &bytes);
    }
    let (dataset, sha256, n) = (name.to_owned(), hasher.finish(), source.len() as u64);
    let latent = (facts.encoding == Encoding::Encoder).then_some(facts.shape);
    Ok(ImagesIdentity { dataset, sha256, n, dim, latent })
}

/// Classes of images for a model that takes `n_classes`.
///
/// # Errors
/// [`StageError::Images`] for a set that tells none, and for a class that the model does not have.
pub fn classes(
    source: &mut dyn ImageSource,
    range: Range<usize>,
    (model, n_classes): (&str, u32),
) -> Result<Vec<ClassLabel>, StageError> {
    let (name, start) = (source.name().to_owned(), range.start);
    let refused = |message: String| StatisticsError::input(Path::new(&name), message);
    let Some(classes) = source.classes(range)? else {
        let message = format!(
            "it tells no classes, and {model} asks for one of {n_classes}: give an .npz with `labels` [n] beside `arr_0`, or a folder with a subfolder a class"
        );
        return Err(refused(message).into());
    };
    match classes.iter().zip(start..).find(|(class, _)| class.0 >= n_classes) {
        None => Ok(classes),
        Some((class, at)) => Err(refused(format!(
            "image {at} is of class {}, and {model} has classes 0 to {}: number them as the model does",
            class.0,
            n_classes.saturating_sub(1)
        ))
        .into()),
    }
}

/// Identity of the real images that the scale draws of its reference: how many of how many, and a hash of their pixels.
fn real_identity(
    common: &Common,
    sizes: &ScaleConfig,
    (n, reference): (u64, Option<&ReferenceIdentity>),
) -> Result<RealIdentity, StageError> {
    let name = real_name(common, sizes)?;
    let mut source = images(common, name)?;
    let of = source.len() as u64;
    let refuse = |message: String| StatisticsError::input(Path::new(name), message);
    if of < n {
        return Err(refuse(format!("has {of} images, scale n_real asks for {n}")).into());
    }
    if let Some(reference) = reference.and_then(|reference| reference.n).filter(|n| *n != of) {
        return Err(refuse(format!(
            "has {of} images, the reference statistics are of {reference}: name the images that they were made of"
        ))
        .into());
    }
    let mut hasher = ContentHasher::default();
    for samples in real_images::draw(common.seed, n, of).chunks(BLOCK_IMAGES) {
        let images = chosen(source.as_mut(), samples)?;
        let sides = images.shape().iter().flat_map(|side| (*side as u64).to_le_bytes());
        hasher.piece("shape", &sides.collect::<Vec<u8>>());
        hasher.piece("images", &images.iter().copied().collect::<Vec<u8>>());
    }
    Ok(RealIdentity { dataset: name.to_owned(), n, of, sha256: hasher.finish() })
}

/// What the reference of a scale calls its images.
fn real_name<'a>(common: &'a Common, sizes: &'a ScaleConfig) -> Result<&'a str, StageError> {
    let images = reference_config(common, sizes)?.images.as_deref();
    images.ok_or(StageError::Absent { what: "images of the reference (reference.images)" })
}

/// The data set that the real images of a scale are drawn of.
///
/// # Errors
/// [`StageError::Images`] when there is no such data set, [`StageError::Absent`] where the reference names none.
pub fn real_source(common: &Common, scale: &str) -> Result<Box<dyn ImageSource>, StageError> {
    images(common, real_name(common, scale_of(common, scale)?)?)
}

fn model_identity(
    common: &Common,
    config: &ModelConfig,
) -> Result<(ModelIdentity, ModelFacts), StageError> {
    match config {
        ModelConfig::Analytic(gaussian) => {
            let facts = ModelFacts {
                axis: gaussian.schedule.axis(),
                shape: gaussian.shape,
                n_classes: gaussian.classes,
                encoding: Encoding::Pixels,
            };
            Ok((ModelIdentity::of_config(ANALYTIC_NAME, config), facts))
        }
        ModelConfig::Pipeline(config) => {
            let pipeline = Pipeline::read(config, &common.folder)?;
            let facts = ModelFacts {
                axis: pipeline.axis(),
                shape: pipeline.shape,
                n_classes: None,
                encoding: Encoding::Missing,
            };
            let (name, files) = (pipeline::label(&pipeline)?, pipeline::identity(&pipeline)?);
            Ok((ModelIdentity { name, files }, facts))
        }
        ModelConfig::Bundle { path, cfg, precision } => {
            let folder = common.resolve(path);
            let model = ModelYaml::read(&folder.join(MODEL_FILE))?;
            let facts = ModelFacts {
                axis: model.schedule.axis(),
                shape: model.task.shape(),
                n_classes: model.task.classes(),
                encoding: encoding(&model.task),
            };
            let mut identity = identities::identity(&folder)?;
            identity.name = model.label(cfg.as_ref(), *precision);
            if *precision != PrecisionYaml::Float32 {
                let digest = fingerprint(precision);
                identity.files.insert("precision of the experiment".to_owned(), digest);
            }
            if let Some(cfg) = cfg {
                identity.files.insert("cfg of the experiment".to_owned(), fingerprint(cfg));
            }
            Ok((identity, facts))
        }
    }
}

fn encoding(task: &TaskYaml) -> Encoding {
    match task {
        TaskYaml::Denoiser { .. } => Encoding::Pixels,
        TaskYaml::Latent { encoder: Some(_), .. } => Encoding::Encoder,
        TaskYaml::Latent { encoder: None, .. } => Encoding::Missing,
    }
}

/// Identity of the statistics, where the protocol reads some. One that looks at real images has none where none are named.
fn reference_of(
    experiment: &Experiment,
    sizes: &ScaleConfig,
) -> Result<Option<ReferenceIdentity>, StageError> {
    let needs = experiment.protocol.needs();
    if !needs.statistics {
        return Ok(None);
    }
    let config = reference_config(experiment, sizes)?;
    if config.path.is_none() && needs.reference_features {
        return Ok(None);
    }
    reference_identity(experiment, config).map(Some)
}

/// The file of statistics that a reference names.
///
/// # Errors
/// [`StageError::Absent`] for one that names none.
pub fn statistics_path(common: &Common, config: &ReferenceConfig) -> Result<PathBuf, StageError> {
    let path = config.path.as_ref();
    let absent = StageError::Absent { what: "statistics of the reference (reference.path)" };
    path.map(|path| common.resolve(path)).ok_or(absent)
}

fn reference_identity(
    common: &Common,
    config: &ReferenceConfig,
) -> Result<ReferenceIdentity, StageError> {
    let path = statistics_path(common, config)?;
    let sha256 = sha256_of_file(&path)?;
    let statistics = Statistics::read(&path)?;
    Ok(ReferenceIdentity {
        dataset: config.dataset.clone(),
        sha256,
        n: statistics.n,
        dim: statistics.mu.len(),
        extractor: statistics.extractor,
        image_size: statistics.image_size,
    })
}

/// Identity of the feature network of a scale.
///
/// # Errors
/// [`StageError`] when there is no such network.
pub fn extractor_id(common: &Common, sizes: &ScaleConfig) -> Result<ExtractorId, StageError> {
    match features_config(common, sizes)? {
        FeaturesConfig::Clip { path } => {
            let (folder, prompts) = clip(common, sizes, path)?;
            Ok(ClipScore::id_of(&folder, &prompts)?)
        }
        FeaturesConfig::Pixels { grid } => Ok(PixelFeatures::new(*grid).id().clone()),
        FeaturesConfig::Extractor { path, preprocess, .. } => {
            identities::extractor_id(&common.resolve(path), *preprocess)
        }
    }
}
