//! `dubench setup` with clients that are scripts: what they are asked, what they may bring, and how each failure ends.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod addresses;
mod endings;
mod packages;
mod place;

use dubench::canonical::sha256_hex;

use place::{BRINGS, Place};

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
            "thing could not be fetched: npm package thing@1 (ENOTFOUND)",
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
