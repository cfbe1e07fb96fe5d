//! How busy other processes are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sysinfo::{
    CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, ProcessRefreshKind, ProcessesToUpdate,
    RefreshKind, System,
};

use crate::stage::Load;

/// Other processes of this machine, as the system tells of them.
///
/// # Why two counts?
/// The times of processes miss those that began and ended in between; the time of the whole machine counts those too, and
/// in a container it also counts others that this one gives nothing up to. So the larger of the two holds where the
/// container has the whole machine, and the first alone elsewhere.
///
/// Both are of one span, which is never shorter than [`MINIMUM_CPU_UPDATE_INTERVAL`]: asked sooner, `sysinfo` would keep the
/// machine's time of the span before, and what this process did in that would pass for the work of others.
pub(super) struct Neighbours(Mutex<Seen>);

/// What clocks may differ by.
const SLACK: Duration = Duration::from_millis(5);

struct Seen {
    system: System,
    at: Instant,
    /// Milliseconds of processor time by process.
    spent: BTreeMap<u32, u64>,
}

impl Neighbours {
    /// Looks for the first time.
    pub(super) fn new() -> Self {
        let mut system = System::new_with_specifics(
            RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing().with_cpu_usage()),
        );
        let spent = spent(&mut system);
        Self(Mutex::new(Seen { system, at: Instant::now(), spent }))
    }
}

/// Milliseconds of processor time by process, since each began.
fn spent(system: &mut System) -> BTreeMap<u32, u64> {
    let what = ProcessRefreshKind::nothing().with_cpu().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let processes = system.processes().iter();
    processes.map(|(pid, process)| (pid.as_u32(), process.accumulated_cpu_time())).collect()
}

impl Load for Neighbours {
    fn others(&self) -> Option<f64> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::thread::sleep((MINIMUM_CPU_UPDATE_INTERVAL + SLACK).saturating_sub(seen.at.elapsed()));
        let (before, since) = (std::mem::take(&mut seen.spent), seen.at.elapsed().as_secs_f64());
        seen.system.refresh_cpu_usage();
        let machine: f64 =
            seen.system.cpus().iter().map(|cpu| f64::from(cpu.cpu_usage()) / 100.0).sum();
        let n_cpus = seen.system.cpus().len();
        let now = spent(&mut seen.system);
        let cores = |pid: &u32, milliseconds: &u64| {
            let spent = milliseconds.saturating_sub(before.get(pid).copied().unwrap_or(0));
            spent as f64 / 1000.0 / since.max(1e-3)
        };
        let own = std::process::id();
        let ours: f64 = now.get(&own).map_or(0.0, |spent| cores(&own, spent));
        let others = now.iter().filter(|(pid, _)| **pid != own);
        let by_process: f64 = others.map(|(pid, spent)| cores(pid, spent)).sum();
        let whole = std::thread::available_parallelism().is_ok_and(|n| n.get() == n_cpus);
        (seen.spent, seen.at) = (now, Instant::now());
        Some(if whole { by_process.max(machine - ours) } else { by_process })
    }

    fn processor(&self) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = seen.system.cpus().first()?.brand().trim().to_owned();
        Some(name).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn no_span_is_shorter_than_the_machine_can_tell() {
        let neighbours = Neighbours::new();
        for _ in 0..2 {
            let start = neighbours.0.lock().unwrap().at;
            neighbours.others();
            assert!(start.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL);
        }
    }

    #[test]
    fn a_busy_process_is_seen_and_its_end_too() {
        let neighbours = Neighbours::new();
        let mut busy = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        neighbours.others();
        std::thread::sleep(Duration::from_millis(500));
        let beside = neighbours.others().unwrap();
        busy.kill().unwrap();
        busy.wait().unwrap();
        // The machine that tests run on may be busy itself: the loop alone takes a good part of a core.
        assert!(beside > 0.2, "{beside}");
    }
}
