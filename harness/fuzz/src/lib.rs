//! Puts the bytes of a fuzzer where a reader finds files.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A folder of this process, below `TMPDIR`: in memory, where `just fuzz` can have it so.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("dubench-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("TMPDIR can be written");
    // Weights that an ONNX model may point to, as in harness/tests/data/tiny/external.onnx.
    std::fs::write(folder.join("external.bin"), [0x3f; 44]).expect("TMPDIR can be written");
    folder
});

/// Runs a reader on a file with these bytes.
pub fn run(read: fn(&Path), bytes: &[u8]) {
    let path = FOLDER.join("input");
    std::fs::write(&path, bytes).expect("TMPDIR can be written");
    read(&path);
}
