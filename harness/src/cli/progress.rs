//! Progress on stderr: bars with an ETA on a terminal, one plain line every few seconds elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::stage::progress::Progress;

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
    unit: &'static str,
    total: u64,
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
    fn begin(&self, stage: &str, unit: &'static str, total: u64) {
        if self.quiet {
            return;
        }
        let bar = std::io::stderr().is_terminal().then(|| bar(stage, unit, total));
        if bar.is_none() {
            plain(&format!("{stage}: 0 of {total} {unit}"));
        }
        let now = Instant::now();
        let running =
            Running { stage: stage.to_owned(), unit, total, done: 0, started: now, last_line: now, bar };
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
                "{}: {} {} in {:.1} s",
                running.stage,
                running.done,
                running.unit,
                running.started.elapsed().as_secs_f64()
            ));
        });
    }

    fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        self.with_state(|state| match state.as_ref().and_then(|running| running.bar.as_ref()) {
            Some(bar) => bar.println(text),
            None => plain(text),
        });
    }
}

impl Running {
    fn line(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = self.done as f64 / elapsed.max(1e-9);
        let left = self.total.saturating_sub(self.done) as f64 / rate.max(1e-9);
        format!(
            "{}: {} of {} {}, {rate:.1} {}/s, {left:.0} s left",
            self.stage, self.done, self.total, self.unit, self.unit
        )
    }
}

fn bar(stage: &str, unit: &str, total: u64) -> ProgressBar {
    let template = format!("{{prefix:>10}} {{wide_bar}} {{pos}}/{{len}} {unit}  {{per_sec}}  ETA {{eta}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_style(style).with_prefix(stage.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn plain(line: &str) {
    // Nothing can be done about a closed stderr, and progress must never end a run.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
