//! Files of a tokenizer folder.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::model::ModelError;

/// Largest file of a tokenizer that is read. `tokenizer.json` of the largest known vocabularies has 35 MB.
const MAX_BYTES: u64 = 1 << 26;

/// Files of which a tokenizer may be made, those that change its answers.
pub(super) const FILES: [&str; 5] = [
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

pub(super) fn fault(path: &Path, message: impl Into<String>) -> ModelError {
    ModelError::Bundle { path: path.display().to_string(), message: message.into() }
}

/// The text of a file; `None` where there is none.
pub(super) fn text(path: &Path) -> Result<Option<String>, ModelError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| fault(path, format!("cannot be read: {error}")))?,
    };
    let mut bytes = Vec::new();
    let n = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    let n = n.map_err(|error| fault(path, format!("cannot be read: {error}")))?;
    if n as u64 > MAX_BYTES {
        return Err(fault(
            path,
            format!("is larger than {MAX_BYTES} bytes: is this the right file?"),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        fault(path, format!("is no UTF-8 at byte {at}: export the tokenizer again"))
    })?;
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

/// A file as a JSON document; `None` where there is none.
pub(super) fn json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    let Some(text) = text(path)? else { return Ok(None) };
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| fault(path, format!("{error}: export the tokenizer again")))
}

/// A token, as a word or with its properties.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(super) struct Token(serde_json::Value);

impl Token {
    /// The token itself.
    pub(super) fn word(&self) -> Option<&str> {
        self.0.as_str().or_else(|| self.0.get("content")?.as_str())
    }

    /// Whether it has a property.
    pub(super) fn is(&self, property: &str) -> bool {
        self.0.get(property).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }
}

/// `tokenizer_config.json` and, where it is silent, `special_tokens_map.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenizerFile {
    pub(super) tokenizer_class: Option<String>,
    pub(super) model_max_length: Option<f64>,
    pub(super) bos_token: Option<Token>,
    pub(super) eos_token: Option<Token>,
    pub(super) unk_token: Option<Token>,
    pub(super) pad_token: Option<Token>,
    pub(super) added_tokens_decoder: BTreeMap<String, Token>,
}

impl TokenizerFile {
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let own: Self = json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
        let map: Self = json(&folder.join("special_tokens_map.json"))?.unwrap_or_default();
        Ok(Self {
            bos_token: own.bos_token.or(map.bos_token),
            eos_token: own.eos_token.or(map.eos_token),
            unk_token: own.unk_token.or(map.unk_token),
            pad_token: own.pad_token.or(map.pad_token),
            ..own
        })
    }

    /// Whether a token is special, or was added to the vocabulary.
    pub(super) fn knows(&self, word: &str) -> bool {
        let added = self.added_tokens_decoder.values().chain(&self.pad_token);
        added.filter_map(Token::word).any(|own| own == word)
    }

    /// The word of a special token, or what CLIP has in its place.
    pub(super) fn word(token: Option<&Token>, default: &str) -> String {
        token.and_then(Token::word).unwrap_or(default).to_owned()
    }
}
