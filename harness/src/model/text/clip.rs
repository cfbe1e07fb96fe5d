//! CLIP's tokenizer from `vocab.json` and `merges.txt` (arXiv:2103.00020): byte-level BPE over lower-case words.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tokenizers::models::bpe::{BPE, Merges};
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::tokenizer::{
    AddedToken, Decoder, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, SplitDelimiterBehavior, Tokenizer,
};

use super::files::{Token, TokenizerFile, fault, json, text};
use crate::model::ModelError;

/// What a word is: special tokens, endings of English, runs of letters, single digits, runs of anything else.
const WORDS: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// The end of a word in the vocabulary.
const WORD_END: &str = "</w>";

pub(super) const START: &str = "<|startoftext|>";
pub(super) const END: &str = "<|endoftext|>";

/// The tokenizer of a folder with `vocab.json` and `merges.txt`.
///
/// # Errors
/// [`ModelError::Bundle`] for files that are missing or do not fit each other.
pub(super) fn tokenizer(folder: &Path, file: &TokenizerFile) -> Result<Tokenizer, ModelError> {
    let [vocab_path, merges_path] = ["vocab.json", "merges.txt"].map(|name| folder.join(name));
    let vocab: HashMap<String, u32> = json(&vocab_path)?.ok_or_else(|| {
        fault(folder, "has neither tokenizer.json nor vocab.json: export the tokenizer again")
    })?;
    let lines = text(&merges_path)?.ok_or_else(|| {
        fault(
            &merges_path,
            "is not there, and vocab.json says nothing without it: export the tokenizer again",
        )
    })?;
    let [bos, eos, unk] = [
        TokenizerFile::word(file.bos_token.as_ref(), START),
        TokenizerFile::word(file.eos_token.as_ref(), END),
        TokenizerFile::word(file.unk_token.as_ref(), END),
    ];
    let id = |word: &str| {
        vocab.get(word).copied().ok_or_else(|| fault(&vocab_path, format!("has no token {word:?}")))
    };
    let ends = [(eos.clone(), id(&eos)?), (bos.clone(), id(&bos)?)];
    id(&unk)?;
    let merges = merges(&merges_path, &lines)?;
    let words = [bos.as_str(), eos.as_str(), unk.as_str(), START, END];
    let apart = |token: &str| words.contains(&token) || file.knows(token);
    let lost = unmade(vocab.keys().filter(|token| !apart(token)), &merges);
    let model = BPE::builder()
        .vocab_and_merges(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .unk_token(unk)
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(WORD_END.to_owned())
        .build()
        .map_err(|error| {
            fault(&merges_path, format!("{error}: it belongs to another vocab.json"))
        })?;
    let tokenizer =
        assembled(model, ends, file).map_err(|error| fault(folder, error.to_string()))?;
    match cut_short(&lost, &tokenizer) {
        Some(message) => Err(fault(&merges_path, message)),
        None => Ok(tokenizer),
    }
}

fn assembled(
    model: BPE,
    [eos, bos]: [(String, u32); 2],
    file: &TokenizerFile,
) -> tokenizers::Result<Tokenizer> {
    let space = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ")?;
    let words = SplitPattern::Regex(WORDS.to_owned());
    let split = Split::new(words, SplitDelimiterBehavior::Removed, true)?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(Sequence::new(vec![
        NFC.into(),
        space.into(),
        Lowercase.into(),
    ])))?;
    let bytes = ByteLevel::new(false, true, true);
    tokenizer.with_pre_tokenizer(Some(PreSequence::new(vec![split.into(), bytes.into()])));
    let known: Vec<AddedToken> = file.added_tokens_decoder.values().filter_map(added).collect();
    tokenizer.add_tokens(known)?;
    let pad = TokenizerFile::word(file.pad_token.as_ref(), END);
    let special = [&bos.0, &eos.0, &pad].map(|word| AddedToken::from(word.clone(), true));
    tokenizer.add_special_tokens(special)?;
    tokenizer.with_post_processor(Some(
        RobertaProcessing::new(eos, bos).trim_offsets(false).add_prefix_space(false),
    ));
    Ok(tokenizer)
}

fn added(token: &Token) -> Option<AddedToken> {
    Some(AddedToken {
        content: token.word()?.to_owned(),
        single_word: token.is("single_word"),
        lstrip: token.is("lstrip"),
        rstrip: token.is("rstrip"),
        normalized: token.is("normalized"),
        special: token.is("special"),
    })
}

/// Tokens of more than one character that come of no merge.
fn unmade<'a>(tokens: impl Iterator<Item = &'a String>, merges: &Merges) -> Vec<String> {
    let made: HashSet<String> =
        merges.iter().map(|(left, right)| format!("{left}{right}")).collect();
    let long = |token: &&String| token.trim_end_matches(WORD_END).chars().nth(1).is_some();
    tokens.filter(long).filter(|token| !made.contains(*token)).cloned().collect()
}

/// What is wrong where a text could ask for one of the tokens that no merge makes: it would be cut into other tokens, and
/// give another picture without a word.
fn cut_short(lost: &[String], tokenizer: &Tokenizer) -> Option<String> {
    let lost: Vec<&String> = lost.iter().filter(|token| of_a_word(token, tokenizer)).collect();
    let least = lost.iter().min()?;
    Some(format!(
        "makes {} tokens of vocab.json not, {least:?} among them: it is cut short, or belongs to another vocab.json; export the \
         tokenizer again",
        lost.len()
    ))
}

/// Whether a token is a word of a text or a part of one. "<pad>" is not: every text is cut into words first, "<", "pad" and
/// ">", so no merge could ever make it, and no text needs it.
fn of_a_word(token: &str, tokenizer: &Tokenizer) -> bool {
    let word = token.trim_end_matches(WORD_END);
    let Ok(text) = ByteLevel::default().decode_chain(vec![word.to_owned()]) else { return true };
    let text = text.concat();
    // A part of a character is a part of a word.
    text.contains('\u{fffd}') || pieces(&text, tokenizer).is_none_or(|pieces| pieces == [word])
}

/// A text as the tokenizer cuts it before any merge.
fn pieces(text: &str, tokenizer: &Tokenizer) -> Option<Vec<String>> {
    let mut text = NormalizedString::from(text);
    tokenizer.get_normalizer()?.normalize(&mut text).ok()?;
    let mut text = PreTokenizedString::from(text);
    tokenizer.get_pre_tokenizer()?.pre_tokenize(&mut text).ok()?;
    let splits = text.get_splits(OffsetReferential::Normalized, OffsetType::None);
    Some(splits.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
}

/// Pairs of `merges.txt`: one a line behind a line of its version.
fn merges(path: &Path, text: &str) -> Result<Merges, ModelError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with("#version"));
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| match line.split(' ').collect::<Vec<_>>().as_slice() {
            [left, right] => Ok(((*left).to_owned(), (*right).to_owned())),
            _ => Err(fault(
                path,
                format!("line {number} is no pair of tokens: export the tokenizer again"),
            )),
        })
        .collect()
}
