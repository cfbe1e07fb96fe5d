//! How well images agree with their prompts: CLIP's two embeddings, compared.

mod pixels;
mod score;
#[cfg(test)]
mod tests;

pub use score::ClipScore;
