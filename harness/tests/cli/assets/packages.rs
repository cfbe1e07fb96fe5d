//! Members of packages and archives.

use std::io::Write;
use std::process::Command;

use dubench::canonical::sha256_hex;

use super::place::{Place, THING};
use crate::support::skip;

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
