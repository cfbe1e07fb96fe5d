//! What the network is told of texts: hidden states, and pooled ones where it takes them, joined over text encoders.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis, IxDyn, Slice, concatenate};

use super::encoder::Encoder;
use super::request::Pipeline;
use crate::config::pipeline::{Family, PipelineFolder, T5_LENGTH, TextPart};
use crate::model::ModelError;
use crate::model::onnx::RuntimeOptions;
use crate::model::text::TextTokenizer;

/// What texts are to the network, a row a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoded {
    /// Hidden states `[n, length, d]`.
    pub(super) states: ArrayD<f32>,
    /// Pooled states `[n, p]`, where the network takes them.
    pub(super) pooled: Option<ArrayD<f32>>,
}

/// The prompts, and the negative one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextStates {
    pub(super) prompts: Encoded,
    pub(super) negative: Encoded,
}

impl TextStates {
    /// The states of all texts of a pipeline.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for a tokenizer or an encoder that is broken, [`ModelError::Runtime`] for a runtime or a cache
    /// that cannot be had.
    pub(super) fn of(pipeline: &Pipeline, options: &RuntimeOptions) -> Result<Self, ModelError> {
        let texts = pipeline.prompts.iter().chain([&pipeline.negative]).map(String::as_str);
        let mut parts: BTreeMap<&str, Parts> = texts.map(|text| (text, Parts::default())).collect();
        // One encoder at a time: the largest takes gigabytes.
        for part in &pipeline.folder.texts {
            add(pipeline, part, &mut parts, options)?;
        }
        let fault = || unfitting(pipeline);
        let mut known: BTreeMap<&str, Encoded> = BTreeMap::new();
        for (text, parts) in parts {
            known.insert(text, parts.joined(&pipeline.folder).ok_or_else(fault)?);
        }
        let rows: Vec<&Encoded> =
            pipeline.prompts.iter().filter_map(|text| known.get(text.as_str())).collect();
        let prompts = Encoded::stacked(&rows).ok_or_else(fault)?;
        let negative = known.remove(pipeline.negative.as_str()).ok_or_else(fault)?;
        let negative = if pipeline.zero_negative { negative.zeroed() } else { negative };
        Ok(Self { prompts, negative })
    }
}

impl Encoded {
    /// Rows below each other; `None` where they do not fit.
    fn stacked(rows: &[&Self]) -> Option<Self> {
        let states: Vec<_> = rows.iter().map(|row| row.states.view()).collect();
        let states = concatenate(Axis(0), &states).ok()?;
        let pooled: Option<Vec<_>> =
            rows.iter().map(|row| row.pooled.as_ref().map(|pooled| pooled.view())).collect();
        let pooled = match pooled {
            Some(pooled) => Some(concatenate(Axis(0), &pooled).ok()?),
            None => None,
        };
        Some(Self { states, pooled })
    }

    fn zeroed(&self) -> Self {
        let zeros = |array: &ArrayD<f32>| ArrayD::zeros(array.raw_dim());
        Self { states: zeros(&self.states), pooled: self.pooled.as_ref().map(zeros) }
    }
}

fn unfitting(pipeline: &Pipeline) -> ModelError {
    ModelError::Bundle {
        path: pipeline.folder.path.display().to_string(),
        message: "states of its text encoders do not fit each other: export the pipeline again"
            .to_owned(),
    }
}

/// What each encoder says of a text.
#[derive(Debug, Default)]
struct Parts {
    states: Vec<ArrayD<f32>>,
    pooled: Vec<ArrayD<f32>>,
}

/// Adds what one encoder says of every text.
fn add(
    pipeline: &Pipeline,
    part: &TextPart,
    texts: &mut BTreeMap<&str, Parts>,
    options: &RuntimeOptions,
) -> Result<(), ModelError> {
    let folder = &pipeline.folder;
    let tokenizer = TextTokenizer::open(&folder.path.join(part.tokenizer), part.length)?;
    let outputs = std::iter::once(part.states.clone()).chain(part.pooled.map(str::to_owned));
    let mut encoder = Encoder::new(folder.graph(part.encoder), outputs.collect(), options)?;
    for (text, parts) in texts {
        let tokens = tokenizer.encode(text)?;
        if tokens.n_lost > 0 {
            let (n, length) = (tokens.n_lost, tokens.ids.len());
            tracing::warn!(
                prompt = text,
                encoder = part.encoder,
                "the last {n} tokens are lost: the text encoder takes {length}"
            );
        }
        let mut outputs = encoder.states(&tokens.ids)?.into_iter();
        parts.states.extend(outputs.next());
        parts.pooled.extend(outputs.next());
    }
    Ok(())
}

impl Parts {
    /// The text as the network takes it; `None` where states do not fit.
    fn joined(self, folder: &PipelineFolder) -> Option<Encoded> {
        let pooled = match self.pooled.as_slice() {
            [] => None,
            pooled => Some(joined(pooled, 1)?),
        };
        Some(Encoded { states: hidden(self.states, folder)?, pooled })
    }
}

/// Hidden states of all encoders as the network takes them; `None` where they do not fit.
///
/// Those of CLIP's encoders stand beside each other. Stable Diffusion 3 fills them up with zeros to the width of T5, whose states
/// follow; where T5 is left out, zeros do.
fn hidden(mut states: Vec<ArrayD<f32>>, folder: &PipelineFolder) -> Option<ArrayD<f32>> {
    if folder.family != Family::StableDiffusion3 {
        return joined(&states, 2);
    }
    let t5 = if states.len() == 3 { states.pop() } else { None };
    let clip = joined(&states, 2)?;
    let width = folder.joint_width.or_else(|| t5.as_ref().map(|t5| t5.shape()[2]))?;
    let t5 = t5.unwrap_or_else(|| ArrayD::zeros(IxDyn(&[1, T5_LENGTH, width])));
    let [1, length, narrow] = *clip.shape() else { return None };
    let mut wide = ArrayD::zeros(IxDyn(&[1, length, width]));
    if narrow > width {
        return None;
    }
    wide.slice_axis_mut(Axis(2), Slice::from(0..narrow)).assign(&clip);
    joined(&[wide, t5], 1)
}

fn joined(parts: &[ArrayD<f32>], axis: usize) -> Option<ArrayD<f32>> {
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    if views.iter().any(|view| view.ndim() <= axis) {
        return None;
    }
    concatenate(Axis(axis), &views).ok()
}
