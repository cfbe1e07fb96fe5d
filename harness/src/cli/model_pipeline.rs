//! A text-to-image pipeline in words.

use super::model_words::{invariance, memory, noise, ports};
use crate::model::pipeline::{PipelineSummary, TextSummary};

pub(super) fn text(summary: &PipelineSummary) -> String {
    let (memory, gradients) = memory(&summary.memory, summary.gradient_reason.as_deref());
    let invariance = invariance(&summary.self_test);
    let (noise, warnings) = noise(&summary.noise, &summary.warnings);
    let [height, width] = summary.image;
    let shift = match summary.latent_shift {
        0.0 => String::new(),
        shift => format!(" + {shift}"),
    };
    let zeros = if summary.zero_negative { "; zeros stand for no negative prompt" } else { "" };
    let texts: String = summary.texts.iter().map(line).collect();
    format!(
        "{}\n  pipeline    {}, diffusers {}\n  images      {height} x {width} of latents {:?}, decoded from latent / {}{shift}\n  prediction  {}\n  sampler     {}\n  guidance    {}{zeros}{texts}\n  inputs      {}\n  outputs     {}\n  memory      {memory}\n  MC-Dropout  not applicable: exporters take dropout out\n  gradients   {gradients}\n  self-test   {invariance}\n  noise       {noise}\n  files       {} named by SHA-256{warnings}",
        summary.name,
        summary.class,
        summary.diffusers.as_deref().unwrap_or("of no version"),
        summary.shape,
        summary.latent_scale,
        summary.prediction,
        summary.sampler,
        summary.guidance,
        ports(&summary.inputs),
        ports(&summary.outputs),
        summary.files.len(),
    )
}

fn line(text: &TextSummary) -> String {
    let length = text
        .length
        .map_or("as many tokens as its tokenizer says".to_owned(), |n| format!("{n} tokens"));
    format!(
        "\n  text        {} by {}, {length}: {}",
        text.encoder,
        text.tokenizer,
        text.outputs.join(", ")
    )
}
