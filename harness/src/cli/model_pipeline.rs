//! A text-to-image pipeline in words.

use super::model_words::NetworkWords;
use crate::model::pipeline::{PipelineSummary, TextSummary};

pub(super) fn text(summary: &PipelineSummary) -> String {
    let network = &summary.network;
    let NetworkWords { inputs, outputs, memory, gradients, self_test, noise, warnings } =
        NetworkWords::of(network);
    let [height, width] = summary.image;
    let shift = match summary.latent_shift {
        0.0 => String::new(),
        shift => format!(" + {shift}"),
    };
    let zeros = if summary.zero_negative { "; zeros stand for no negative prompt" } else { "" };
    let texts: String = summary.texts.iter().map(line).collect();
    format!(
        "{}\n  pipeline    {}, diffusers {}\n  images      {height} x {width} of latents {:?}, decoded from latent / {}{shift}\n  prediction  {}\n  sampler     {}\n  guidance    {}{zeros}{texts}\n  inputs      {inputs}\n  outputs     {outputs}\n  memory      {memory}\n  MC-Dropout  not applicable: exporters take dropout out\n  gradients   {gradients}\n  self-test   {self_test}\n  noise       {noise}\n  files       {} named by SHA-256{warnings}",
        network.name,
        summary.class,
        summary.diffusers.as_deref().unwrap_or("of no version"),
        network.shape,
        summary.latent_scale,
        network.prediction,
        summary.sampler,
        summary.guidance,
        network.files.len(),
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
