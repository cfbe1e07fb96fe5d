//! A tokenizer of a pipeline.

use std::path::{Path, PathBuf};

use tokenizers::tokenizer::Tokenizer;

use super::clip::{self, END};
use super::files::{FILES, TokenizerFile, fault, text};
use crate::model::ModelError;

/// Length of a text where neither the tokenizer nor the text encoder says one.
const CLIP_LENGTH: usize = 77;

/// Token ids of a text, as many as the text encoder takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model) struct Tokens {
    /// Ids, padded.
    pub(in crate::model) ids: Vec<u32>,
    /// How many of them are the text's: the rest fills up.
    pub(in crate::model) n_own: usize,
    /// Tokens at the end of the text that did not fit.
    pub(in crate::model) n_lost: usize,
}

/// A tokenizer of a pipeline: `tokenizer.json`, or CLIP's from `vocab.json` and `merges.txt`.
#[derive(Debug)]
pub(in crate::model) struct TextTokenizer {
    tokenizer: Tokenizer,
    folder: PathBuf,
    length: usize,
    pad: u32,
}

impl TextTokenizer {
    /// Opens the tokenizer of `folder` for texts of `length` tokens; `None` takes the tokenizer's own.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for files that are missing, damaged, or do not fit each other.
    pub(in crate::model) fn open(folder: &Path, length: Option<usize>) -> Result<Self, ModelError> {
        let file = TokenizerFile::read(folder)?;
        let path = folder.join("tokenizer.json");
        let mut tokenizer = match text(&path)? {
            Some(text) => Tokenizer::from_bytes(text.as_bytes())
                .map_err(|error| fault(&path, format!("{error}: export the tokenizer again")))?,
            None if is_clip(&file) => clip::tokenizer(folder, &file)?,
            None => return Err(slow(folder, &file)),
        };
        // Texts are cut and padded here, so that what is lost can be counted.
        tokenizer.with_truncation(None).map_err(|error| fault(folder, error.to_string()))?;
        tokenizer.with_padding(None);
        let pad = TokenizerFile::word(file.pad_token.as_ref(), END);
        let pad = tokenizer
            .token_to_id(&pad)
            .ok_or_else(|| fault(folder, format!("has no token {pad:?}, which it pads with")))?;
        let length = length.or_else(|| own_length(&file)).unwrap_or(CLIP_LENGTH);
        Ok(Self { tokenizer, folder: folder.to_owned(), length, pad })
    }

    /// Names of the files in `folder` that the tokenizer is made of.
    pub(in crate::model) fn files(folder: &Path) -> Vec<&'static str> {
        FILES.into_iter().filter(|name| folder.join(name).is_file()).collect()
    }

    /// Ids of a text: start, words, end, padded to the length. A text that is too long loses its last words and keeps its
    /// end.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] where the tokenizer fails.
    pub(in crate::model) fn encode(&self, text: &str) -> Result<Tokens, ModelError> {
        let encoded = self.tokenizer.encode_fast(text, true);
        let encoded = encoded.map_err(|error| fault(&self.folder, error.to_string()))?;
        let mut ids = encoded.get_ids().to_vec();
        let n_lost = ids.len().saturating_sub(self.length);
        if let Some(end) = ids.last().copied().filter(|_| n_lost > 0) {
            ids.truncate(self.length.saturating_sub(1));
            ids.push(end);
        }
        let n_own = ids.len();
        ids.resize(self.length, self.pad);
        Ok(Tokens { ids, n_own, n_lost })
    }
}

/// A tokenizer that is in no form that can be read.
fn slow(folder: &Path, file: &TokenizerFile) -> ModelError {
    let class = file.tokenizer_class.as_deref().unwrap_or_default();
    let remedy = "save it as a fast tokenizer, in Python: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";
    if folder.join("spiece.model").is_file() {
        let message = format!("holds spiece.model alone, which is not read ({class}): {remedy}");
        return fault(folder, message);
    }
    fault(folder, format!("is a {class} without tokenizer.json: {remedy}"))
}

fn is_clip(file: &TokenizerFile) -> bool {
    file.tokenizer_class.as_deref().is_none_or(|class| class.starts_with("CLIPTokenizer"))
}

/// `model_max_length`, which is astronomical in files that know none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 2 and a hundred thousand"
)]
fn own_length(file: &TokenizerFile) -> Option<usize> {
    file.model_max_length.filter(|n| (2.0..1e5).contains(n)).map(|n| n as usize)
}
