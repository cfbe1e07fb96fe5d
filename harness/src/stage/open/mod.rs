//! What a run reads and runs, opened: models, feature networks, real images; and what names them in a plan.

pub mod identities;
pub mod inputs;
pub mod models;
pub mod pixels;
mod step_graphs;

use std::num::NonZeroUsize;

use ndarray::Array3;

use crate::config::AnalyticConfig;
use crate::model::analytic::{GaussianDenoiser, IdentityDecoder};
use crate::model::bundle::Opened;
use crate::model::onnx::SelfTestReport;
use crate::model::{Decoder, Denoiser, Encoder, InTurn, SharedDenoiser};
use crate::schedule::NoiseSchedule;
use crate::store::Provenance;
use crate::store::starts::StartsFile;

use super::StageError;
use super::statistics::{ImageSource, SharedImages};

/// A model, ready to run.
pub struct OpenModel {
    /// Its noise predictions.
    pub denoiser: Box<dyn Denoiser>,
    /// Its way from states to images.
    pub decoder: Box<dyn Decoder>,
    /// Its noise schedule.
    pub schedule: NoiseSchedule,
    /// What runs it, where.
    pub provenance: Provenance,
    /// Whether a row's answer depends on its batch, as measured; `None` where it cannot.
    pub self_test: Option<SelfTestReport>,
    /// From images to states, for a latent model whose arms start at real images.
    pub encoder: Option<Box<dyn Encoder>>,
    /// Real images, where arms start from some.
    pub images: Option<Box<dyn ImageSource>>,
    /// Starts from noise, where a file gives them.
    pub starts: Option<StartsFile>,
}

/// A bundle, under the guidance that it was opened with.
impl From<Opened> for OpenModel {
    fn from(bundle: Opened) -> Self {
        let Opened { denoiser, guidance, decoder, schedule, provenance, .. } = bundle;
        let runtime = format!("onnxruntime {}", provenance.runtime_version);
        Self {
            denoiser: Opened::guided(denoiser, guidance),
            decoder,
            schedule,
            self_test: provenance.self_test,
            provenance: Provenance::new(runtime, provenance.device),
            encoder: None,
            images: None,
            starts: None,
        }
    }
}

impl std::fmt::Debug for OpenModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenModel").field("spec", self.denoiser.spec()).finish_non_exhaustive()
    }
}

impl OpenModel {
    /// The model for `n` workers, who ask its networks in turn.
    pub fn in_turns(self, n: NonZeroUsize) -> Vec<Self> {
        let n = n.get();
        if n == 1 {
            return vec![self];
        }
        let mut encoders = self.encoder.map(|encoder| InTurn::share(encoder, n).into_iter());
        let mut images = self.images.map(|images| SharedImages::share(images, n).into_iter());
        let denoisers = SharedDenoiser::share(self.denoiser, n).into_iter();
        let handles =
            denoisers.zip(InTurn::share(self.decoder, n)).map(|(denoiser, decoder)| Self {
                denoiser: Box::new(denoiser),
                decoder: Box::new(decoder),
                schedule: self.schedule.clone(),
                provenance: self.provenance.clone(),
                self_test: self.self_test,
                encoder: encoders.as_mut().and_then(Iterator::next).map(|one| Box::new(one) as _),
                images: images.as_mut().and_then(Iterator::next).map(|one| Box::new(one) as _),
                starts: self.starts.clone(),
            });
        handles.collect()
    }
}

/// `models` for `turns` workers each, no more in all than there are blocks to do.
pub(super) fn in_turns(
    models: Vec<OpenModel>,
    turns: NonZeroUsize,
    n_blocks: usize,
) -> Vec<OpenModel> {
    let most = n_blocks.div_ceil(models.len().max(1));
    let turns = NonZeroUsize::new(most).map_or(NonZeroUsize::MIN, |most| most.min(turns));
    models.into_iter().flat_map(|model| model.in_turns(turns)).collect()
}

/// Name of the model with a closed form.
pub const ANALYTIC_NAME: &str = "analytic-gaussian";

/// The model with a closed form.
///
/// # Errors
/// [`StageError`] when the values make no model.
pub fn analytic(config: &AnalyticConfig) -> Result<OpenModel, StageError> {
    let AnalyticConfig { shape, mean, std, schedule, dropout, classes, bias_variance } = config;
    let schedule = schedule.build()?;
    #[expect(clippy::cast_possible_truncation, reason = "a grey level in [-1, 1]")]
    let mean = Array3::from_elem((shape[0], shape[1], shape[2]), *mean as f32);
    let mut denoiser = GaussianDenoiser::new(mean, *std)?.with_clip_x0();
    if *dropout {
        denoiser = denoiser.with_dropout();
    }
    if let Some(variance) = bias_variance {
        denoiser = denoiser.with_bias_variance(*variance);
    }
    if let Some(classes) = classes {
        denoiser = denoiser.with_classes(*classes, 0.1);
    }
    Ok(OpenModel {
        denoiser: Box::new(denoiser),
        decoder: Box::new(IdentityDecoder),
        schedule,
        provenance: Provenance::new("closed form", "cpu"),
        self_test: None,
        encoder: None,
        images: None,
        starts: None,
    })
}
