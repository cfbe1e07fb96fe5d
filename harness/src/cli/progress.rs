//! Progress on stderr: bars with an ETA on a terminal, one plain line every few seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::stage::Progress;

const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Progress of one command, stage after stage.
#[derive(Debug)]
pub(crate) struct TerminalProgress {
    state: Mutex<Option<Running>>,
    quiet: bool,
}

#[derive(Debug)]
struct Running {
    stage: String,
    total: u64,
    /// Images that were there before this process.
    found: u64,
    done: u64,
    started: Instant,
    last_line: Instant,
    bar: Option<ProgressBar>,
}

impl TerminalProgress {
    /// `quiet` prints nothing at all.
    pub(crate) fn new(quiet: bool) -> Self {
        Self { state: Mutex::new(None), quiet }
    }

    fn with_state(&self, change: impl FnOnce(&mut Option<Running>)) {
        if let Ok(mut state) = self.state.lock() {
            change(&mut state);
        }
    }
}

impl Progress for TerminalProgress {
    fn begin(&self, stage: &str, total: u64, done: u64) {
        if self.quiet {
            return;
        }
        let bar = std::io::stderr().is_terminal().then(|| bar(stage, total, done));
        if bar.is_none() {
            plain(&format!("{stage}: {done} of {total} images are there"));
        }
        let now = Instant::now();
        let stage = stage.to_owned();
        let running =
            Running { stage, total, found: done, done, started: now, last_line: now, bar };
        self.with_state(|state| *state = Some(running));
    }

    fn advance(&self, n: u64) {
        self.with_state(|state| {
            let Some(running) = state else { return };
            running.done += n;
            if let Some(bar) = &running.bar {
                bar.inc(n);
            } else if running.last_line.elapsed() >= PLAIN_INTERVAL {
                running.last_line = Instant::now();
                plain(&running.line());
            }
        });
    }

    fn end(&self) {
        self.with_state(|state| {
            let Some(running) = state.take() else { return };
            if let Some(bar) = &running.bar {
                bar.finish_and_clear();
            }
            plain(&format!(
                "{}: {} of {} images in {:.1} s",
                running.stage,
                running.done,
                running.total,
                running.started.elapsed().as_secs_f64()
            ));
        });
    }
}

impl Running {
    fn line(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = (self.done - self.found) as f64 / elapsed.max(1e-9);
        let left = self.total.saturating_sub(self.done) as f64 / rate.max(1e-9);
        format!(
            "{}: {} of {} images, {rate:.2} images/s, {left:.0} s left",
            self.stage, self.done, self.total
        )
    }
}

fn bar(stage: &str, total: u64, done: u64) -> ProgressBar {
    let template = "{prefix:>9} {wide_bar} {pos}/{len} images  {per_sec}  ETA {eta}";
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_prefix(stage.to_owned());
    bar.set_position(done);
    bar.reset_eta();
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn plain(line: &str) {
    // Nothing can be done about a closed stderr, and progress must never end a run.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
