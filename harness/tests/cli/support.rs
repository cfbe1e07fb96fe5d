//! Running the binary in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a helper of tests: a failure here is a failed test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ndarray::{Array1, Array2, arr0};
use ndarray_npy::{NpzWriter, ReadNpyExt, WritableElement, WriteNpyExt};

/// An experiment on the model with a closed form: all stages in a second.
pub(crate) const TINY: &str = include_str!("../../src/experiment/tiny.yaml");

/// A folder with the tiny experiment and its reference statistics.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let new = Self { folder: tempfile::tempdir().unwrap() };
        new.text("tiny.yaml", TINY);
        new.statistics("reference.npz", 12);
        new
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    pub(crate) fn text(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    pub(crate) fn bytes(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    pub(crate) fn npy<T: WritableElement>(&self, name: &str, rows: &Array2<T>) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        rows.write_npy(file).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    pub(crate) fn array(&self, name: &str, array: &ndarray::Array4<f32>) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        array.write_npy(file).unwrap();
    }

    pub(crate) fn states(&self, name: &str) -> ndarray::Array4<f32> {
        ndarray::Array4::read_npy(std::fs::File::open(self.path(name)).unwrap()).unwrap()
    }

    pub(crate) fn statistics(&self, name: &str, dim: usize) {
        self.moments(name, &(Array2::<f64>::eye(dim) * 0.004), 1000);
    }

    /// Statistics with this covariance of `n` images.
    #[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
    pub(crate) fn moments(&self, name: &str, sigma: &Array2<f64>, n: i64) {
        let file = std::fs::File::create(self.path(name)).unwrap();
        let mut npz = NpzWriter::new(file);
        npz.add_array("mu", &Array1::from_elem(sigma.nrows(), 0.55)).unwrap();
        npz.add_array("sigma", sigma).unwrap();
        npz.add_array("n", &arr0(n)).unwrap();
        npz.finish().unwrap();
    }

    /// An executable bash script `bin/NAME`.
    #[cfg(unix)]
    pub(crate) fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(self.path("bin")).unwrap();
        let name = format!("bin/{name}");
        self.text(&name, &format!("#!/bin/bash\n{script}\n"));
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(&name), executable).unwrap();
    }

    /// Runs `dubench` here.
    pub(crate) fn dubench(&self, arguments: &[&str]) -> Ended {
        self.ended(Command::new(env!("CARGO_BIN_EXE_dubench")).args(arguments))
    }

    /// Runs a command here.
    pub(crate) fn ended(&self, command: &mut Command) -> Ended {
        let output: Output = command.current_dir(self.folder.path()).output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// All stages of the tiny experiment, and the digest of its numbers.
    pub(crate) fn digest(&self, more: &[&str]) -> String {
        let mut arguments = vec!["run", "tiny.yaml", "--scale", "smoke", "--format", "json"];
        arguments.extend(more);
        let ended = self.dubench(&arguments);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        answer["metrics_sha256"].as_str().unwrap().to_owned()
    }
}

impl Ended {
    /// Asserts the exit code and that stderr holds every one of `words`, in one line and without a backtrace.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "stderr: {}", self.stderr);
        let line = self.stderr.lines().find(|line| line.starts_with("error: "));
        let line = line.unwrap_or_else(|| panic!("no error line in {:?}", self.stderr));
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {line:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Past the capture of the test harness, so that a skip is seen.
pub(crate) fn skip(test: &str, reason: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "SKIPPED {test}: {reason}").unwrap();
}

/// Copies a folder with all below it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

/// First file below `folder` whose name ends in `ending`.
pub(crate) fn find(folder: &Path, ending: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().next().unwrap()
}

/// Features that no two rows share: a Weyl sequence, one irrational a column.
pub(crate) fn features(n: usize, dim: usize, shift: f64) -> Array2<f64> {
    Array2::from_shape_fn((n, dim), |(i, j)| {
        ((i + 1) as f64 * ((j + 2) as f64).sqrt()).fract() + shift
    })
}
