//! `dubench setup` with clients that are scripts: what they are asked, what they may bring, and how each failure ends.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::io::{Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dubench::canonical::sha256_hex;

use crate::mount::Mount;
use crate::support::{Ended, Folder, skip};

const THING: &[u8] = b"what the asset is for";

/// A folder with `pkg.zip`, which holds `pkg/thing.so` and `pkg/part.so`, and a cache folder that is not there yet.
struct Place {
    folder: Folder,
    archive: Vec<u8>,
}

impl Place {
    fn new() -> Self {
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
    fn pins(&self, places: &[&str]) {
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

    fn list(&self, build: &str, sources: &str, outputs: &str) {
        let text = format!(
            "format: 1\nassets:\n  - {{name: thing, kind: dataset, version: \"1\", licence: MIT, origin: us, build: {build},\n     devices: [cpu], sources: [{sources}], outputs: [{outputs}]}}\n"
        );
        self.folder.text("assets.yaml", &text);
    }

    /// A Python whose pip notes what it is asked and does `then` in the folder that it was started in.
    fn pip(&self, then: &str) {
        let script = format!("echo \"$*\" >> \"$HERE/asked\"\n{then}");
        self.folder.program("python3", &script);
    }

    fn command(&self, arguments: &[&str]) -> Command {
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

    fn setup(&self, arguments: &[&str]) -> Ended {
        self.folder.ended(&mut self.command(&[&["--only", "thing"], arguments].concat()))
    }

    fn asked(&self) -> Vec<String> {
        let noted = std::fs::read_to_string(self.folder.path("asked")).unwrap_or_default();
        noted.lines().map(str::to_owned).collect()
    }

    fn is_made(&self) -> bool {
        std::fs::read(self.folder.path("cache/lib/thing.so")).is_ok_and(|bytes| bytes == THING)
    }

    /// Files below the cache folder, but for locks.
    fn left(&self) -> Vec<String> {
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

const BRINGS: &str = "cp \"$HERE/pkg.zip\" pkg-0.zip";

#[test]
fn what_pip_brings_is_built_once_and_then_nobody_is_asked() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    let first = place.setup(&["--format", "json"]).json();
    assert_eq!((&first["assets"][0]["found"], place.is_made()), (&serde_json::json!(false), true));
    assert!(place.asked()[0].starts_with("-m pip download thing==1 --no-deps --only-binary=:all:"));
    let second = place.setup(&["--format", "json"]).json();
    assert_eq!(second["assets"][0]["found"], true);
    assert_eq!(place.setup(&["--verify"]).code, 0);
    // A finished file that is lost is built of the archive that was kept.
    std::fs::remove_file(place.folder.path("cache/lib/thing.so")).unwrap();
    assert_eq!(place.setup(&[]).code, 0);
    assert_eq!((place.is_made(), place.asked().len()), (true, 1));
    let found = place.setup(&["--where", "thing"]);
    assert_eq!(
        found.stdout.trim_end(),
        place.folder.path("cache/lib/thing.so").canonicalize().unwrap().to_str().unwrap()
    );
}

#[test]
fn a_wheel_of_one_platform_is_asked_for_by_its_tags() {
    let place = Place::new();
    place.pins(&["pypi: thing==1, wheel_platform: manylinux_2_28_x86_64, wheel_python: \"3.11\""]);
    place.pip(BRINGS);
    assert_eq!(place.setup(&[]).code, 0);
    let tags =
        "--platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp --abi cp311";
    assert!(place.asked()[0].contains(tags), "{:?}", place.asked());
}

#[test]
fn other_bytes_and_half_of_them_end_with_an_integrity_error_and_leave_nothing() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    for (brings, words) in [
        ("echo other > pkg-0.zip", "is pinned"),
        ("head -c 100 \"$HERE/pkg.zip\" > pkg-0.zip", "is pinned"),
        ("cp \"$HERE/pkg.zip\" thing-2.zip", "delivered thing-2.zip"),
        ("true", "delivered nothing"),
    ] {
        place.pip(brings);
        place.setup(&[]).fails(5, &[words]);
        assert_eq!(place.left(), Vec::<String>::new(), "{brings}");
    }
    place.pip(BRINGS);
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn of_an_archive_that_holds_something_else_nothing_is_published() {
    let mut place = Place::new();
    place.archive = b"no zip archive".to_vec();
    place.folder.bytes("pkg.zip", &place.archive);
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    place.setup(&[]).fails(5, &["pkg-0.zip: is no zip archive"]);
    assert_eq!(place.left(), ["pkg-0.zip"], "the archive is the one that is pinned");
}

#[test]
fn without_a_network_every_source_is_named_with_its_reason_and_what_to_bring_by_hand() {
    let place = Place::new();
    place.pins(&["npm: thing@1", "pypi: thing==1", "apt: thing=1"]);
    for client in ["npm", "apt-get"] {
        place
            .folder
            .program(client, "echo 'npm error ENOTFOUND' >&2; echo 'see the log' >&2; exit 1");
    }
    place.pip("echo partial > pkg-1.zip; echo 'ERROR: No matching distribution found' >&2; exit 1");
    place.setup(&[]).fails(
        7,
        &[
            "thing could not be fetched: npm package thing@1 (npm error ENOTFOUND)",
            "PyPI package thing==1 (ERROR: No matching distribution found)",
            "Debian package thing=1",
            "connect to the network",
            &format!("put pkg-0.zip (sha256 {})", sha256_hex(&place.archive)),
        ],
    );
    assert_eq!(place.left(), Vec::<String>::new());
    // Brought by hand, under the name of any source.
    std::fs::copy(place.folder.path("pkg.zip"), place.folder.path("cache/downloads/pkg-1.zip"))
        .unwrap();
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn a_client_that_is_not_there_is_named_and_the_next_source_serves() {
    let place = Place::new();
    place.pins(&["npm: thing@1", "pypi: thing==1"]);
    place.pip("cp \"$HERE/pkg.zip\" pkg-1.zip");
    let only = |place: &Place| {
        let mut command = place.command(&["--only", "thing"]);
        command.env(
            "PATH",
            format!(
                "{}:{}",
                place.folder.path("bin").display(),
                place.folder.path("tools").display()
            ),
        );
        place.folder.ended(&mut command)
    };
    // The script needs its shell and `cp`, and nothing else is on the PATH.
    std::fs::create_dir(place.folder.path("tools")).unwrap();
    std::os::unix::fs::symlink("/bin/cp", place.folder.path("tools/cp")).unwrap();
    assert_eq!((only(&place).code, place.is_made()), (0, true));
    std::fs::remove_file(place.folder.path("bin/python3")).unwrap();
    std::fs::remove_dir_all(place.folder.path("cache")).unwrap();
    only(&place).fails(7, &["npm is not on PATH: install Node.js", "there is no Python"]);
}

#[test]
fn an_environment_without_pip_says_so() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip("echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    place.setup(&[]).fails(7, &["No module named pip", "python -m ensurepip"]);
}

/// Answers requests for `data` on a free port; the first answer ends after `cut` bytes. Gives back the ranges asked for.
fn serve(
    data: Vec<u8>,
    cut: usize,
    n_answers: usize,
) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/pkg.zip", listener.local_addr().unwrap());
    let answers = move || {
        (0..n_answers)
            .map(|at| {
                answer(&listener.accept().unwrap().0, &data, if at == 0 { cut } else { data.len() })
            })
            .collect()
    };
    (address, std::thread::spawn(answers))
}

fn answer(mut stream: &TcpStream, data: &[u8], end: usize) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let range = request
        .lines()
        .find_map(|line| line.strip_prefix("Range: bytes="))
        .unwrap_or("0-")
        .to_owned();
    let start: usize = range.trim_end_matches('-').parse().unwrap();
    let status = if start == 0 { "200 OK" } else { "206 Partial Content" };
    let length = data.len() - start;
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream.write_all(&data[start..end.max(start)]).unwrap();
    range
}

#[test]
fn an_address_that_is_cut_off_is_gone_on_with_where_it_stopped() {
    let place = Place::new();
    let (address, server) = serve(place.archive.clone(), 100, 2);
    place.pins(&[&format!("url: \"{address}\"")]);
    let ended = place.setup(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(server.join().unwrap(), ["0-", "100-"]);
    assert!(place.is_made() && !place.left().contains(&"pkg-0.zip.part".to_owned()));
}

#[test]
fn an_address_with_other_bytes_is_refused_and_one_out_of_reach_is_passed_over() {
    let place = Place::new();
    let mut other = place.archive.clone();
    other[0] ^= 1;
    let n = other.len();
    let (address, server) = serve(other, n, 1);
    // Nobody listens at the port of a server that has ended.
    let gone = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    place.pins(&[&format!("url: \"http://{gone}/pkg.zip\""), &format!("url: \"{address}\"")]);
    place.setup(&[]).fails(5, &["is pinned", "check for a proxy"]);
    assert_eq!(server.join().unwrap().len(), 1);
    assert_eq!(place.left(), Vec::<String>::new());
}

#[test]
fn of_several_at_once_one_works_and_the_others_say_that_they_wait() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(&format!("while [ ! -e \"$HERE/go\" ]; do sleep 0.02; done; {BRINGS}"));
    let name = |at: usize| format!("said-{at}");
    let spawn = |at: usize| -> Child {
        place.folder.text(&name(at), "");
        let said = std::fs::File::options().append(true).open(place.folder.path(&name(at)));
        let mut command = place.command(&["--only", "thing"]);
        command.current_dir(place.folder.path("")).stderr(said.unwrap()).stdout(Stdio::null());
        command.spawn().unwrap()
    };
    let children: Vec<Child> = (0..3).map(spawn).collect();
    let waits = |at: &usize| {
        let said = std::fs::read_to_string(place.folder.path(&name(*at))).unwrap();
        said.contains("is preparing thing, waiting for it")
    };
    let start = Instant::now();
    while (0..3).filter(waits).count() < 2 {
        assert!(start.elapsed() < Duration::from_mins(2), "nobody says that it waits");
        std::thread::sleep(Duration::from_millis(20));
    }
    place.folder.text("go", "");
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!((place.asked().len(), place.is_made()), (1, true));
}

#[test]
fn a_signal_ends_the_client_too_and_the_next_call_goes_on() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip("echo $$ > \"$HERE/pid\"; exec sleep 60");
    let mut command = place.command(&["--only", "thing"]);
    let child = command.current_dir(place.folder.path("")).stderr(Stdio::piped()).spawn().unwrap();
    let pid = loop {
        let noted = std::fs::read_to_string(place.folder.path("pid")).unwrap_or_default();
        if noted.ends_with('\n') {
            break noted.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let kill = |signal: &str, pid: &str| {
        Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status().unwrap()
    };
    assert!(kill("-TERM", &child.id().to_string()).success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8(output.stderr).unwrap().contains("run the same command again"));
    assert!(!kill("-0", &pid).success(), "the client lives on");
    place.pip(BRINGS);
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn a_cache_that_may_not_be_written_ends_with_its_own_code_unless_all_is_there() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    let Some(mount) = Mount::new(&place.folder.path("cache"), "size=1m") else {
        return skip(
            "a_cache_that_may_not_be_written",
            "no file system can be mounted here (needs root)",
        );
    };
    mount.again("ro");
    place.setup(&[]).fails(7, &["cache/locks: Read-only file system", "DUBENCH_CACHE"]);
    mount.again("rw");
    assert_eq!(place.setup(&[]).code, 0);
    mount.again("ro");
    assert_eq!(place.setup(&[]).code, 0, "nothing is written where all is there");
}

#[test]
fn a_full_disk_ends_with_its_own_code_and_leaves_nothing_half() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    let Some(mount) = Mount::new(&place.folder.path("cache"), "size=4k") else {
        return skip("a_full_disk_at_setup", "no file system can be mounted here (needs root)");
    };
    place.setup(&[]).fails(7, &["free some space"]);
    assert!(!place.is_made());
    mount.again("size=1m");
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn a_finished_file_that_changes_is_found_and_made_again() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.setup(&["--verify"]).fails(5, &["that of no file", "without --verify"]);
    place.pip(BRINGS);
    assert_eq!(place.setup(&[]).code, 0);
    let path = place.folder.path("cache/lib/thing.so");
    let before = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut changed = THING.to_vec();
    changed[0] ^= 1;
    place.folder.bytes("cache/lib/thing.so", &changed);
    // Of the same size and time, as a bit that the disk has turned.
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    place.setup(&["--verify"]).fails(5, &["is pinned"]);
    assert_eq!((place.setup(&[]).code, place.is_made()), (0, true));
}

#[test]
fn wrong_options_and_lists_are_refused_before_anything_is_asked() {
    let place = Place::new();
    place.pins(&["pypi: thing==1"]);
    place.pip(BRINGS);
    let run = |arguments: &[&str]| place.folder.ended(&mut place.command(arguments));
    run(&["--only", "nothing"]).fails(2, &["there is no asset \"nothing\": name one of thing"]);
    run(&["cpu", "nowhere"]).fails(2, &["nowhere: no such experiment"]);
    run(&["cpu", "tiny.yaml", "--scale", "huge"])
        .fails(2, &["--scale \"huge\": expected", "smoke"]);
    assert_eq!(run(&["tpu"]).code, 2);
    let listed = run(&["--list"]);
    assert_eq!(listed.stdout, "thing\t1\tany\tMIT\n");
    place.folder.text("assets.yaml", "format: 2\nassets: []\n");
    run(&[]).fails(3, &["assets.yaml: is of format 2, expected 1"]);
    assert!(place.asked().is_empty() && place.left().is_empty());
}

/// The finished file is what one packed member unpacks to, whichever way it comes.
#[test]
fn a_debian_package_and_one_packed_file_give_the_same_bytes() {
    let place = Place::new();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(THING).unwrap();
    let packed = packer.finish().unwrap();
    let output = format!(
        "{{path: lib/thing.so, member: ./usr/share/thing.gz, bytes: {}, sha256: {}}}",
        THING.len(),
        sha256_hex(THING)
    );
    let source = |place: &str, layout: &str, bytes: &[u8]| {
        let (n, sha256) = (bytes.len(), sha256_hex(bytes));
        format!("{{{place}, file: thing.{layout}, layout: {layout}, bytes: {n}, sha256: {sha256}}}")
    };
    place.folder.bytes("thing.gz", &packed);
    let url = format!("url: \"file://{}\"", place.folder.path("thing.gz").display());
    place.list("fashion-mnist", &source(&url, "gz", &packed), &output);
    let ended = place.setup(&[]);
    assert!(place.is_made(), "{}", ended.stderr);

    for folder in ["deb/DEBIAN", "deb/usr/share"] {
        std::fs::create_dir_all(place.folder.path(folder)).unwrap();
    }
    let control =
        "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: us\nDescription: a thing\n";
    place.folder.text("deb/DEBIAN/control", control);
    place.folder.bytes("deb/usr/share/thing.gz", &packed);
    let built =
        place.folder.ended(Command::new("sh").args(["-c", "dpkg-deb --build deb thing.deb"]));
    if built.code != 0 {
        return skip("a_debian_package", "this machine has no dpkg-deb");
    }
    std::fs::remove_dir_all(place.folder.path("cache")).unwrap();
    let package = std::fs::read(place.folder.path("thing.deb")).unwrap();
    place.list("fashion-mnist", &source("apt: thing=1", "deb", &package), &output);
    place
        .folder
        .program("apt-get", "test \"$*\" = 'download --quiet thing=1' && cp \"$HERE/thing.deb\" .");
    let ended = place.setup(&[]);
    assert!(place.is_made(), "{}", ended.stderr);
}

#[test]
fn the_archive_of_the_authors_of_cifar10_is_read_by_its_members() {
    let place = Place::new();
    std::fs::create_dir(place.folder.path("cifar-10-batches-bin")).unwrap();
    place.folder.bytes("cifar-10-batches-bin/readme.html", b"<html>");
    place.folder.bytes("cifar-10-batches-bin/test_batch.bin", THING);
    let packed = place.folder.ended(Command::new("tar").args([
        "-czf",
        "official.tgz",
        "cifar-10-batches-bin",
    ]));
    assert_eq!(packed.code, 0, "{}", packed.stderr);
    let archive = std::fs::read(place.folder.path("official.tgz")).unwrap();
    let source = format!(
        "{{url: \"file://{}\", file: official.tgz, layout: official, bytes: {}, sha256: {}}}",
        place.folder.path("official.tgz").display(),
        archive.len(),
        sha256_hex(&archive)
    );
    let output = |name: &str| {
        format!("{{path: lib/{name}, bytes: {}, sha256: {}}}", THING.len(), sha256_hex(THING))
    };
    place.list("cifar10", &source, &output("data_batch_1.bin"));
    place.setup(&[]).fails(5, &["does not hold cifar-10-batches-bin/data_batch_1.bin"]);
    place.list("cifar10", &source, &output("test_batch.bin"));
    assert_eq!(place.setup(&[]).code, 0);
    assert_eq!(std::fs::read(place.folder.path("cache/lib/test_batch.bin")).unwrap(), THING);
}
