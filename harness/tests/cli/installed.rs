//! A program that is installed in an environment: `PREFIX/bin`, its data in `PREFIX/share`, its library among the packages.

#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dubench::model::onnx::environment::library_path;

use crate::support::{Ended, Folder, TINY, skip};

/// An environment around the binary with the tiny experiment among its data, and an empty folder to work in.
fn environment() -> Folder {
    let folder = Folder::new();
    for name in ["env/bin", "env/share/dubench/experiments", "empty"] {
        std::fs::create_dir_all(folder.path(name)).unwrap();
    }
    // A link to the same file has a path of its own, which is what counts; not every disk has them.
    let (binary, installed) = (env!("CARGO_BIN_EXE_dubench"), folder.path("env/bin/dubench"));
    if std::fs::hard_link(binary, &installed).is_err() {
        std::fs::copy(binary, &installed).unwrap();
    }
    for name in ["tiny.yaml", "reference.npz"] {
        let target = folder.path("env/share/dubench/experiments").join(name);
        std::fs::rename(folder.path(name), target).unwrap();
    }
    folder
}

/// Runs the installed program in the empty folder.
fn installed(folder: &Folder, arguments: &[&str]) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", "cd empty && exec ../env/bin/dubench \"$@\"", "sh"]).args(arguments);
    folder.ended(command.env_remove("ORT_DYLIB_PATH"))
}

#[test]
fn an_installed_experiment_runs_by_name_from_an_empty_folder_with_the_same_digits() {
    let folder = environment();
    let ended = installed(&folder, &["run", "tiny", "--scale", "smoke", "--format", "json"]);
    let answer = ended.json();
    assert_eq!(answer["metrics_sha256"].as_str().unwrap(), Folder::new().digest(&[]));
    assert_eq!(answer["results"], "results/tiny/smoke");
    assert!(folder.path("empty/results/tiny/smoke/table.md").is_file());
    let data: Vec<_> =
        std::fs::read_dir(folder.path("env/share/dubench/experiments")).unwrap().collect();
    assert_eq!(data.len(), 2, "nothing is written where the program is installed");
}

/// Its paths start where it is installed, those of the own file beside that one.
#[test]
fn an_installed_experiment_is_extended_from_an_own_folder() {
    let folder = environment();
    std::fs::create_dir_all(folder.path("empty/mine")).unwrap();
    for base in ["tiny.yaml", "tiny"] {
        folder.text("empty/mine/other.yaml", &format!("extends: {base}\nname: other\n"));
        let arguments = ["run", "mine/other.yaml", "--scale", "smoke", "--format", "json"];
        let answer = installed(&folder, &arguments).json();
        assert_eq!(answer["results"], "results/other/smoke");
    }
    folder.text("empty/mine/other.yaml", "extends: tinny.yaml\nname: other\n");
    let ended = installed(&folder, &["plan", "mine/other.yaml", "--scale", "smoke"]);
    ended.fails(2, &["mine/tinny.yaml: cannot be read", "an installed experiment"]);
}

#[test]
fn a_name_that_is_nowhere_says_where_it_was_looked_for() {
    let folder = environment();
    let ended = installed(&folder, &["plan", "tinny", "--scale", "smoke"]);
    ended.fails(
        2,
        &[
            "tinny: no such experiment",
            "experiments/tinny.yaml",
            "env/share/dubench/experiments/tinny.yaml",
        ],
    );
}

#[test]
fn the_library_is_that_of_the_environment_and_doctor_says_so() {
    let folder = environment();
    let capi = "env/lib/python3.11/site-packages/onnxruntime/capi";
    std::fs::create_dir_all(folder.path(capi)).unwrap();
    folder.text(&format!("{capi}/libonnxruntime.so.1.2.3"), "no library");
    let ended = installed(&folder, &["doctor"]);
    assert_eq!(ended.code, 7);
    let line =
        |what: &str| ended.stdout.lines().find(|line| line.contains(what)).unwrap().to_owned();
    assert!(line(" installed ").contains("env/share/dubench"), "{}", ended.stdout);
    let library = line(" ONNX Runtime ");
    assert!(library.contains("capi/libonnxruntime.so.1.2.3: cannot be loaded"), "{library}");
    folder.text(&format!("{capi}/libonnxruntime.so.1.2.4"), "no library");
    let ended = installed(&folder, &["doctor"]);
    assert!(
        ended.stdout.contains("has several, set ORT_DYLIB_PATH to one of them"),
        "{}",
        ended.stdout
    );
}

/// A library that says it is of another version, for the system's compiler.
const OLD: &str = r#"
static const char *version(void) { return "1.16.3"; }
static const void *api(unsigned n) { return 0; }
static const struct { const void *(*api)(unsigned); const char *(*version)(void); } base = {api, version};
const void *OrtGetApiBase(void) { return &base; }
"#;

#[test]
fn no_library_one_that_is_too_old_and_one_of_another_processor_are_named_with_a_remedy() {
    let folder = environment();
    let capi = "env/lib/python3.11/site-packages/onnxruntime/capi";
    let doctor = || {
        let mut command = Command::new("sh");
        command.args(["-c", "cd empty && exec ../env/bin/dubench doctor"]);
        command.env_remove("ORT_DYLIB_PATH").env("DUBENCH_CACHE", folder.path("nowhere"));
        let ended = folder.ended(&mut command);
        assert_eq!(ended.code, 7, "{}", ended.stdout);
        let line = ended.stdout.lines().find(|line| line.contains(" ONNX Runtime ")).unwrap();
        assert!(line.contains("pip install onnxruntime"), "{line}");
        line.to_owned()
    };
    assert!(doctor().contains("no such file (named by the cache folder)"));

    std::fs::create_dir_all(folder.path(capi)).unwrap();
    let library = format!("{capi}/libonnxruntime.so.1.16.3");
    folder.text("old.c", OLD);
    let mut compiler = Command::new("sh");
    compiler.args(["-c", "exec cc -shared -fPIC -o \"$0\" old.c", &library]);
    if folder.ended(&mut compiler).code != 0 {
        return skip("a_library_that_is_too_old", "this machine has no C compiler");
    }
    assert!(doctor().contains("is version 1.16.3, which is too old"), "{}", doctor());

    let mut bytes = std::fs::read(folder.path(&library)).unwrap();
    if !bytes.starts_with(b"\x7fELF") {
        return skip("a_library_of_another_processor", "this system has no ELF files");
    }
    // Machine 2 of the ELF header, SPARC: nobody builds ONNX Runtime for it.
    bytes[18..20].copy_from_slice(&2_u16.to_le_bytes());
    folder.bytes(&library, &bytes);
    let line = doctor();
    assert!(line.contains("is for processor 2, this program is for"), "{line}");
}

/// The installed program with an asset that its experiment reads and a pip that notes what it is asked for.
fn with_an_asset() -> Folder {
    let folder = environment();
    let experiments = "env/share/dubench/experiments";
    let reads = TINY.replace("path: reference.npz}", "path: reference.npz, images: cifar10-train}");
    let reads = reads.replace("smoke: {n_pool: 48,", "smoke: {n_real: 10, n_pool: 48,");
    assert!(reads.contains("cifar10-train") && reads.contains("n_real"), "tiny.yaml has changed");
    folder.text(&format!("{experiments}/reads.yaml"), &reads);
    let zeros = "0".repeat(64);
    let pin = format!("bytes: 4, sha256: \"{zeros}\"");
    folder.text(&format!("{experiments}/assets.yaml"), &format!(
        "format: 1\nassets:\n  - {{name: thing, kind: dataset, version: \"1\", licence: MIT, origin: us, build: members,\n     devices: [cpu], datasets: [cifar10-train], sources: [{{pypi: thing==1, file: thing.zip, {pin}}}],\n     outputs: [{{path: lib/thing, member: thing, {pin}}}]}}\n"
    ));
    folder.program("python3", "touch \"$HERE/asked\"; exit 1");
    std::fs::rename(folder.path("bin/python3"), folder.path("env/bin/python3")).unwrap();
    folder
}

#[test]
fn without_a_library_nothing_is_fetched_for_a_run_that_needs_one() {
    let folder = with_an_asset();
    let run = |library: Option<PathBuf>| {
        let mut command = Command::new("sh");
        let script = "cd empty && exec ../env/bin/dubench run reads --scale smoke";
        command.args(["-c", script]).env("HERE", folder.path("")).env_remove("PYTHON");
        command.env_remove("ORT_DYLIB_PATH").env("DUBENCH_CACHE", folder.path("nowhere"));
        command.envs(library.map(|path| ("ORT_DYLIB_PATH", path)));
        folder.ended(&mut command)
    };
    run(None).fails(7, &["libonnxruntime", "no such file", "pip install onnxruntime"]);
    assert!(!folder.path("asked").exists() && !folder.path("nowhere").exists());
    assert_eq!(std::fs::read_dir(folder.path("empty")).unwrap().count(), 0);

    let library = library_path(None).unwrap();
    run(Some(library)).fails(7, &["thing could not be fetched"]);
    assert!(folder.path("asked").exists(), "with a library, pip is asked");
}

#[test]
fn a_package_that_brings_no_library_is_named_with_the_version_that_does() {
    let folder = environment();
    let capi = "env/lib/python3.11/site-packages/onnxruntime/capi";
    std::fs::create_dir_all(folder.path(capi)).unwrap();
    folder.text(&format!("{capi}/libonnxruntime_providers_shared.so"), "a part");
    let mut command = Command::new("sh");
    command.args(["-c", "cd empty && exec ../env/bin/dubench doctor"]);
    command.env_remove("ORT_DYLIB_PATH").env("DUBENCH_CACHE", folder.path("nowhere"));
    let told = folder.ended(&mut command).stdout;
    assert!(told.contains("onnxruntime/capi holds none"), "{told}");
    assert!(told.contains("`pip install --upgrade 'onnxruntime>=1.19'`"), "{told}");
}

/// Processor time, which is the whole of it on a machine that has nothing else to do.
#[test]
fn the_version_is_told_within_twenty_milliseconds() {
    let folder = Folder::new();
    let script = "TIMEFORMAT='%3U %3S'; time \"$0\" --version";
    let one = |_| {
        let mut command = Command::new("bash");
        let ended = folder.ended(command.args(["-c", script, env!("CARGO_BIN_EXE_dubench")]));
        assert!(ended.code == 0 && ended.stdout.starts_with("dubench "), "{}", ended.stderr);
        let parts = ended.stderr.split_whitespace().map(|part| part.parse::<f64>().unwrap());
        Duration::from_secs_f64(parts.sum())
    };
    let quickest = (0..5).map(one).min().unwrap();
    assert!(quickest <= Duration::from_millis(20), "{quickest:?}");
}
