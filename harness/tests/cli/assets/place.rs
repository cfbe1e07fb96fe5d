//! A folder with an archive, pins, and clients that are scripts.

use std::io::{Cursor, Write};
use std::process::Command;

use dubench::canonical::sha256_hex;

use crate::support::{Ended, Folder};

pub(super) const THING: &[u8] = b"what the asset is for";

/// A folder with `pkg.zip`, which holds `pkg/thing.so` and `pkg/part.so`, and a cache folder that is not there yet.
pub(super) struct Place {
    pub(super) folder: Folder,
    pub(super) archive: Vec<u8>,
}

impl Place {
    pub(super) fn new() -> Self {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        for (name, content) in [("pkg/thing.so", THING), ("pkg/part.so", b"part")] {
            zip.start_file(name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        let archive = zip.finish().unwrap().into_inner();
        let new = Self { folder: Folder::new(), archive };
        new.folder.bytes("pkg.zip", &new.archive);
        new
    }

    /// Pins the archive under these places (`pypi: thing==1`), each of its own file name.
    pub(super) fn pins(&self, places: &[&str]) {
        let pin = format!("bytes: {}, sha256: {}", self.archive.len(), sha256_hex(&self.archive));
        let source =
            |(at, place): (usize, &&str)| format!("{{{place}, file: pkg-{at}.zip, {pin}}}");
        let sources: Vec<String> = places.iter().enumerate().map(source).collect();
        let output = |name: &str, bytes: &[u8]| {
            let (n, sha256) = (bytes.len(), sha256_hex(bytes));
            format!("{{path: lib/{name}, member: pkg/{name}, bytes: {n}, sha256: {sha256}}}")
        };
        let outputs = [output("thing.so", THING), output("part.so", b"part")];
        self.list("members", &sources.join(", "), &outputs.join(", "));
    }

    pub(super) fn list(&self, build: &str, sources: &str, outputs: &str) {
        let text = format!(
            "format: 1\nassets:\n  - {{name: thing, kind: dataset, version: \"1\", licence: MIT, origin: us, build: {build},\n     devices: [cpu], sources: [{sources}], outputs: [{outputs}]}}\n"
        );
        self.folder.text("assets.yaml", &text);
    }

    /// A Python whose pip notes what it is asked and does `then` in the folder that it was started in.
    pub(super) fn pip(&self, then: &str) {
        let script = format!("echo \"$*\" >> \"$HERE/asked\"\n{then}");
        self.folder.program("python3", &script);
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dubench"));
        let path = std::env::var_os("PATH").unwrap();
        let mut folders = vec![self.folder.path("bin")];
        folders.extend(std::env::split_paths(&path));
        command.arg("setup").args(arguments).args(["--assets", "assets.yaml"]);
        command.env("PATH", std::env::join_paths(folders).unwrap());
        command.env("DUBENCH_CACHE", "cache").env("HERE", self.folder.path(""));
        command.env_remove("PYTHON").env("no_proxy", "127.0.0.1");
        command
    }

    pub(super) fn setup(&self, arguments: &[&str]) -> Ended {
        self.folder.ended(&mut self.command(&[&["--only", "thing"], arguments].concat()))
    }

    pub(super) fn asked(&self) -> Vec<String> {
        let noted = std::fs::read_to_string(self.folder.path("asked")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    pub(super) fn is_made(&self) -> bool {
        std::fs::read(self.folder.path("cache/lib/thing.so")).is_ok_and(|bytes| bytes == THING)
    }

    /// Files below the cache folder, but for locks.
    pub(super) fn left(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut pending = vec![self.folder.path("cache")];
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else if path.extension().is_none_or(|end| end != "lock") {
                    found.push(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }
}

pub(super) const BRINGS: &str = "cp \"$HERE/pkg.zip\" pkg-0.zip";
