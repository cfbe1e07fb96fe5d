//! What the network is told of texts: hidden states, and pooled ones where it takes them, joined over text encoders.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{ArrayD, Axis, IxDyn, Slice, concatenate};

use super::encoder::Encoder;
use super::request::Pipeline;
use crate::config::pipeline::{Family, PipelineFolder, T5_LENGTH, TextPart};
use crate::model::ModelError;
use crate::model::onnx::{ConditionRows, RowSource, RuntimeOptions};
use crate::model::text::TextTokenizer;

/// Bytes of states of prompts that memory holds, at most; those used last.
const KEPT_BYTES: usize = 1 << 28;

/// What texts are to the network, a row a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Encoded {
    /// Hidden states `[n, length, d]`.
    pub(super) states: ArrayD<f32>,
    /// Pooled states `[n, p]`, where the network takes them.
    pub(super) pooled: Option<ArrayD<f32>>,
}

/// The prompts, and the negative one.
#[derive(Clone, Debug)]
pub(super) struct TextStates {
    pub(super) prompts: Arc<PromptStates>,
    pub(super) negative: Encoded,
}

/// States of prompts, in the cache of states, from which they come when they are asked for: those of a thousand prompts are
/// gigabytes.
#[derive(Debug)]
pub(super) struct PromptStates {
    /// Which text each prompt is.
    of: Vec<usize>,
    folder: PipelineFolder,
    /// `[1, ..]` of hidden and pooled states.
    shapes: (Vec<usize>, Option<Vec<usize>>),
    texts: Mutex<Texts>,
}

/// Texts, each once.
#[derive(Debug)]
struct Texts {
    encoders: Vec<Encoder>,
    /// Token ids of each text, an encoder each.
    ids: Vec<Vec<Vec<u32>>>,
    /// States that memory holds; the last used stand last.
    known: VecDeque<(usize, Arc<Encoded>)>,
    /// Bytes of them, at most; one is held all the same.
    most_bytes: usize,
}

impl TextStates {
    /// The states of all texts of a pipeline: each is made once, and kept in the cache.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for a tokenizer or an encoder that is broken, [`ModelError::Runtime`] for a runtime or a cache
    /// that cannot be had.
    pub(super) fn of(pipeline: &Pipeline, options: &RuntimeOptions) -> Result<Self, ModelError> {
        let all = pipeline.prompts.iter().chain([&pipeline.negative]).map(String::as_str);
        let distinct: BTreeSet<&str> = all.collect();
        let distinct: Vec<&str> = distinct.into_iter().collect();
        let place = |text: &String| distinct.binary_search(&text.as_str()).unwrap_or_default();
        let (encoders, ids, known) = (Vec::new(), Vec::new(), VecDeque::new());
        let mut texts = Texts { encoders, ids, known, most_bytes: KEPT_BYTES };
        // One encoder at a time: the largest takes gigabytes.
        for part in &pipeline.folder.texts {
            texts.add(pipeline, (part, &distinct), options)?;
        }
        let folder = &pipeline.folder;
        let negative = texts.get(place(&pipeline.negative), folder)?;
        let of: Vec<usize> = pipeline.prompts.iter().map(place).collect();
        let Some(first) = of.first() else { return Err(unfitting(folder)) };
        let first = texts.get(*first, folder)?;
        let shape = |states: &ArrayD<f32>| states.shape().to_vec();
        let shapes = (shape(&first.states), first.pooled.as_ref().map(shape));
        let negative =
            if pipeline.zero_negative { negative.zeroed() } else { Encoded::clone(&negative) };
        let (folder, texts) = (folder.clone(), Mutex::new(texts));
        let prompts = Arc::new(PromptStates { of, folder, shapes, texts });
        Ok(Self { prompts, negative })
    }
}

impl PromptStates {
    /// States of a prompt.
    fn get(&self, prompt: usize) -> Result<Arc<Encoded>, ModelError> {
        let text = self.of.get(prompt).copied().unwrap_or_default();
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = texts.get(text, &self.folder)?;
        let shape = |states: &ArrayD<f32>| states.shape().to_vec();
        if (shape(&found.states), found.pooled.as_ref().map(shape)) != self.shapes {
            return Err(unfitting(&self.folder));
        }
        Ok(found)
    }

    fn rows(&self, behind: &[usize]) -> Vec<usize> {
        std::iter::once(self.of.len()).chain(behind.iter().skip(1).copied()).collect()
    }

    /// Rows of hidden states.
    pub(super) fn hidden(self: &Arc<Self>) -> ConditionRows {
        ConditionRows::Kept(Arc::new(Hidden(Arc::clone(self))))
    }

    /// Rows of pooled states, where there are some.
    pub(super) fn pooled(self: &Arc<Self>) -> Option<ConditionRows> {
        self.shapes.1.as_ref()?;
        Some(ConditionRows::Kept(Arc::new(Pooled(Arc::clone(self)))))
    }

    /// All rows, with no more than `most_bytes` held.
    #[cfg(test)]
    pub(super) fn all(&self, most_bytes: usize) -> Encoded {
        let mut texts = self.texts.lock().unwrap();
        (texts.most_bytes, texts.known) = (most_bytes, VecDeque::new());
        drop(texts);
        let rows: Vec<_> = (0..self.of.len()).map(|at| self.get(at).unwrap()).collect();
        let stacked = |rows: Vec<&ArrayD<f32>>| {
            let views: Vec<_> = rows.into_iter().map(|row| row.view()).collect();
            concatenate(Axis(0), &views).unwrap()
        };
        let pooled: Option<Vec<_>> = rows.iter().map(|row| row.pooled.as_ref()).collect();
        let states = stacked(rows.iter().map(|row| &row.states).collect());
        Encoded { states, pooled: pooled.map(stacked) }
    }

    /// Number of texts whose states memory holds.
    #[cfg(test)]
    pub(super) fn n_held(&self) -> usize {
        self.texts.lock().unwrap().known.len()
    }
}

#[derive(Debug)]
struct Hidden(Arc<PromptStates>);

impl RowSource for Hidden {
    fn shape(&self) -> Vec<usize> {
        self.0.rows(&self.0.shapes.0)
    }

    fn row(&self, at: usize) -> Result<ArrayD<f32>, ModelError> {
        Ok(self.0.get(at)?.states.clone())
    }
}

#[derive(Debug)]
struct Pooled(Arc<PromptStates>);

impl RowSource for Pooled {
    fn shape(&self) -> Vec<usize> {
        self.0.rows(self.0.shapes.1.as_deref().unwrap_or_default())
    }

    fn row(&self, at: usize) -> Result<ArrayD<f32>, ModelError> {
        self.0.get(at)?.pooled.clone().ok_or_else(|| unfitting(&self.0.folder))
    }
}

impl Encoded {
    fn zeroed(&self) -> Self {
        let zeros = |array: &ArrayD<f32>| ArrayD::zeros(array.raw_dim());
        Self { states: zeros(&self.states), pooled: self.pooled.as_ref().map(zeros) }
    }

    fn bytes(&self) -> usize {
        4 * (self.states.len() + self.pooled.as_ref().map_or(0, ArrayD::len))
    }
}

fn unfitting(folder: &PipelineFolder) -> ModelError {
    ModelError::Bundle {
        path: folder.path.display().to_string(),
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

impl Texts {
    /// Adds an encoder, which puts what it says of every text into the cache.
    fn add(
        &mut self,
        pipeline: &Pipeline,
        (part, texts): (&TextPart, &[&str]),
        options: &RuntimeOptions,
    ) -> Result<(), ModelError> {
        let folder = &pipeline.folder;
        let tokenizer = TextTokenizer::open(&folder.path.join(part.tokenizer), part.length)?;
        let outputs = std::iter::once(part.states.clone()).chain(part.pooled.map(str::to_owned));
        let mut encoder = Encoder::new(folder.graph(part.encoder), outputs.collect(), options)?;
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            let tokens = tokenizer.encode(text)?;
            if tokens.n_lost > 0 {
                let (n, length) = (tokens.n_lost, tokens.ids.len());
                tracing::warn!(
                    prompt = text,
                    encoder = part.encoder,
                    "the last {n} tokens are lost: the text encoder takes {length}"
                );
            }
            encoder.states(&tokens.ids)?;
            ids.push(tokens.ids);
        }
        encoder.close();
        self.encoders.push(encoder);
        self.ids.push(ids);
        Ok(())
    }

    /// States of a text.
    fn get(&mut self, text: usize, folder: &PipelineFolder) -> Result<Arc<Encoded>, ModelError> {
        if let Some(at) = self.known.iter().position(|(known, _)| *known == text)
            && let Some(found) = self.known.remove(at)
        {
            self.known.push_back(found.clone());
            return Ok(found.1);
        }
        let mut parts = Parts::default();
        for (encoder, ids) in self.encoders.iter_mut().zip(&self.ids) {
            let mut outputs = encoder.states(&ids[text])?.into_iter();
            parts.states.extend(outputs.next());
            parts.pooled.extend(outputs.next());
        }
        let found = Arc::new(parts.joined(folder).ok_or_else(|| unfitting(folder))?);
        let most = (self.most_bytes / found.bytes().max(1)).max(1);
        while self.known.len() >= most {
            self.known.pop_front();
        }
        self.known.push_back((text, Arc::clone(&found)));
        Ok(found)
    }
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
