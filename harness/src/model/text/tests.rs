//! Token ids beside those of transformers, and tokenizers that are not whole.

use std::path::Path;

use serde::Deserialize;

use super::TextTokenizer;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pipelines");
const TINY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-sd15-random/tokenizer");
const TINY_T5: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments/models/tiny-sd3-random/tokenizer_3");

/// What `CLIPTokenizer` of transformers gives (`scripts/golden/pipelines.py`).
#[derive(Deserialize)]
struct Golden {
    texts: Vec<String>,
    /// Start, words, end; not cut.
    ids: Vec<Vec<u32>>,
    /// Tokens past the 77th.
    lost: Vec<usize>,
    /// The last two ids of the text cut to 77.
    cut: Vec<[u32; 2]>,
}

fn golden() -> Golden {
    let text = std::fs::read(Path::new(DATA).join("tokens.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn ids_of_500_texts_in_16_languages_are_those_of_transformers() {
    let golden = golden();
    assert_eq!(golden.texts.len(), 500);
    assert!(golden.lost.iter().filter(|n| **n > 0).count() >= 20);
    for folder in [TINY.to_owned(), format!("{DATA}/tokenizer-json")] {
        let tokenizer = TextTokenizer::open(Path::new(&folder), None).unwrap();
        for (at, text) in golden.texts.iter().enumerate() {
            let (ids, tokens) = (&golden.ids[at], tokenizer.encode(text).unwrap());
            assert_eq!((tokens.ids.len(), tokens.n_lost), (77, golden.lost[at]), "{text:?}");
            let kept = ids.len().min(77);
            assert_eq!(tokens.ids[..kept - 1], ids[..kept - 1], "{text:?} in {folder}");
            // A text that is cut keeps its end; one that is not is padded with the end.
            assert_eq!(tokens.ids[kept - 2..kept], golden.cut[at], "{text:?} in {folder}");
            let end = ids[ids.len() - 1];
            assert!(tokens.ids[kept - 1..].iter().all(|id| *id == end), "{text:?}");
        }
    }
}

/// What T5's tokenizer of transformers gives (`scripts/golden/pipelines_sd3.py`).
#[derive(Deserialize)]
struct GoldenT5 {
    texts: Vec<String>,
    /// Words, end; not cut.
    ids: Vec<Vec<u32>>,
    /// Cut or padded to 64.
    cut: Vec<Vec<u32>>,
}

#[test]
fn ids_of_t5_are_those_of_transformers_cut_and_padded() {
    let text = std::fs::read(Path::new(DATA).join("tokens_t5.json")).unwrap();
    let golden: GoldenT5 = serde_json::from_slice(&text).unwrap();
    let (mut n_cut, mut n_padded) = (0, 0);
    let tokenizer = TextTokenizer::open(Path::new(TINY_T5), Some(64)).unwrap();
    for (at, text) in golden.texts.iter().enumerate() {
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(tokens.ids, golden.cut[at], "{text:?}");
        assert_eq!(tokens.n_lost, golden.ids[at].len().saturating_sub(64), "{text:?}");
        n_cut += usize::from(tokens.n_lost > 0);
        n_padded += usize::from(golden.ids[at].len() < 64);
    }
    assert!(n_cut >= 10 && n_padded >= 10, "{n_cut} {n_padded}");
}

fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        std::fs::copy(Path::new(TINY).join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// transformers reads such folders, and no text of it has the id of one of these.
#[test]
fn tokens_that_no_text_can_have_need_no_merge() {
    let folder = folder(&["vocab.json", "merges.txt", "tokenizer_config.json"]);
    let whole = TextTokenizer::open(folder.path(), None).unwrap();
    let text = std::fs::read(folder.path().join("vocab.json")).unwrap();
    let vocab: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text).unwrap();
    let with = |words: &[&str]| {
        let mut more = vocab.clone();
        for (id, word) in (vocab.len()..).zip(words) {
            more.insert((*word).to_owned(), id.into());
        }
        let bytes = serde_json::to_vec(&more).unwrap();
        crate::store::publish(&folder.path().join("vocab.json"), &bytes).unwrap();
        TextTokenizer::open(folder.path(), None)
    };
    let odd = with(&["<pad>", "[MASK]", "<unk></w>", "<|image|>", "PAD", "a1"]).unwrap();
    for text in ["a <pad> b", "[MASK]", "PAD a1 <unk>", "<|image|> 1"] {
        assert_eq!(odd.encode(text).unwrap().ids, whole.encode(text).unwrap().ids, "{text}");
    }
    // A text can have these.
    for word in ["zqxzqx", "zqxzqx</w>", "</", "\u{e7}\u{12e}\u{ab}\u{e7}\u{12e}\u{ab}"] {
        let words = with(&["<pad>", word]).unwrap_err().to_string();
        assert!(words.contains("merges.txt: makes 1 tokens") && words.contains(word), "{words}");
    }
}

#[test]
fn tokenizers_that_are_not_whole_are_refused_with_what_is_missing() {
    let refusal = |folder: &Path| TextTokenizer::open(folder, None).unwrap_err().to_string();
    let none = folder(&["vocab.json", "tokenizer_config.json"]);
    let words = refusal(none.path());
    assert!(words.contains("merges.txt: is not there, and vocab.json says nothing"), "{words}");
    let words = refusal(folder(&["merges.txt"]).path());
    assert!(words.contains("has neither tokenizer.json nor vocab.json"), "{words}");
    let other = folder(&["vocab.json", "merges.txt", "tokenizer_config.json"]);
    let write = |name: &str, bytes: &[u8]| {
        crate::store::publish(&other.path().join(name), bytes).unwrap();
        refusal(other.path())
    };
    // Cut at a line, it would cut texts into other tokens.
    let whole = std::fs::read_to_string(Path::new(TINY).join("merges.txt")).unwrap();
    let cut: Vec<&str> = whole.lines().take(30).collect();
    let words = write("merges.txt", cut.join("\n").as_bytes());
    assert!(words.contains("merges.txt: makes ") && words.contains("it is cut short"), "{words}");
    let words = write("merges.txt", b"");
    assert!(words.contains("merges.txt: makes "), "{words}");
    let words = write("merges.txt", b"#version: 0.2\nq zz zzz\n");
    assert!(words.contains("merges.txt: line 2 is no pair of tokens"), "{words}");
    let words = write("merges.txt", "#version: 0.2\n猫 猫\n".as_bytes());
    assert!(words.contains("merges.txt: ") && words.contains("another vocab.json"), "{words}");
    let words = write("merges.txt", b"#version: 0.2\n\xff\xfe x\n");
    assert!(words.contains("is no UTF-8 at byte 14"), "{words}");
    let words = write("tokenizer_config.json", br#"{"tokenizer_class": "T5Tokenizer"}"#);
    assert!(words.contains("is a T5Tokenizer without tokenizer.json"), "{words}");
    let words = write("spiece.model", b"\n\x0e");
    assert!(
        words.contains("holds spiece.model alone") && words.contains("AutoTokenizer"),
        "{words}"
    );
    let words = write("tokenizer.json", b"{}");
    assert!(words.contains("tokenizer.json: "), "{words}");
}
