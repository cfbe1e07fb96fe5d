//! From a prompt to token ids. The only door to `tokenizers`.

mod clip;
mod files;
#[cfg(test)]
mod tests;
mod tokenizer;

pub(super) use tokenizer::TextTokenizer;
