//! The two Slurm jobs of an experiment, as text: an array over its blocks, and its evaluation.
//!
//! The scripts are complete: submitting one again by hand redoes what is missing and nothing else.

use std::fmt::Write;

/// Seconds before the time limit at which Slurm warns the array tasks. It may do so 60 seconds early.
pub const WARNING_SECONDS: u32 = 120;

/// How often a task may ask to be queued again.
const MAX_RESTARTS: u32 = 20;

/// What the scripts of an experiment say. Paths are absolute.
///
/// # Examples
/// ```
/// use dubench::plan::SlurmJobs;
/// let jobs = SlurmJobs {
///     name: "tiny-mini".into(),
///     program: "/opt/dubench".into(),
///     folder: "/data".into(),
///     experiment: "/data/tiny.yaml".into(),
///     scale: "mini".into(),
///     work_dir: "/data/work".into(),
///     results_dir: "/data/results".into(),
///     logs: "/data/work/slurm/tiny-mini".into(),
///     n_shards: 8,
///     ..SlurmJobs::default()
/// };
/// assert!(jobs.array_script().contains("#SBATCH --array=0-7\n"));
/// assert!(jobs.evaluate_script().contains("'/opt/dubench' evaluate '/data/tiny.yaml'"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmJobs {
    /// Name of the array job; the other one is named after it.
    pub name: String,
    /// The binary.
    pub program: String,
    /// Folder in which the commands run.
    pub folder: String,
    /// Experiment file.
    pub experiment: String,
    /// Scale.
    pub scale: String,
    /// Where parts are kept; all nodes must see it.
    pub work_dir: String,
    /// Where tables and plots go.
    pub results_dir: String,
    /// Folder of the jobs' output.
    pub logs: String,
    /// Options of `dubench run` that concern device, threads and batch.
    pub run_options: Vec<String>,
    /// Tasks of the array.
    pub n_shards: u32,
    /// Most tasks at the same time.
    pub throttle: Option<u32>,
    /// Partition of both jobs.
    pub partition: Option<String>,
    /// Generic resources of an array task, as `gpu:1`.
    pub gres: Option<String>,
    /// Time limit of both jobs.
    pub time: Option<String>,
    /// Processor cores of an array task.
    pub n_cpus: Option<usize>,
}

impl SlurmJobs {
    /// Script of the array.
    ///
    /// # Why is the number of shards written into it?
    /// `SLURM_ARRAY_TASK_COUNT` counts the tasks of one submission. `sbatch --array=2,5 array.sh`, which
    /// repeats two shards, would renumber the work if the count came from there.
    ///
    /// # Why does it ask for the requeue itself?
    /// Slurm requeues after a lost node or a preemption only; by exit code it does so where the
    /// administrator has set `RequeueExit`. The script asks when its time was nearly up (USR1), never
    /// after a cancellation (TERM), and for `A_B`: `SLURM_JOB_ID` of the task that started last is
    /// the id of the whole array, and all tasks would start again.
    pub fn array_script(&self) -> String {
        let mut script = String::from(ARRAY_HEAD);
        let throttle = self.throttle.map(|k| format!("%{k}")).unwrap_or_default();
        let last = self.n_shards.saturating_sub(1);
        directive(&mut script, "job-name", Some(&self.name));
        directive(&mut script, "array", Some(&format!("0-{last}{throttle}")));
        self.output(&mut script, "%A_%a.out");
        directive(&mut script, "signal", Some(&format!("B:USR1@{WARNING_SECONDS}")));
        script.push_str("#SBATCH --requeue\n");
        self.place(&mut script);
        directive(&mut script, "gres", self.gres.as_deref());
        directive(&mut script, "cpus-per-task", self.n_cpus.map(|n| n.to_string()).as_deref());
        let options: String =
            self.run_options.iter().flat_map(|word| [" ".to_owned(), quote(word)]).collect();
        let values = [
            ("SHARDS", self.n_shards.to_string()),
            ("RESTARTS", MAX_RESTARTS.to_string()),
            ("FOLDER", quote(&self.folder)),
            ("RUN", self.command("run") + &options),
        ];
        script + &fill(ARRAY_BODY, &values)
    }

    /// Script of the evaluation, to be queued with `--dependency=afterany:ARRAY`.
    ///
    /// # Why not `afterok`?
    /// It remembers the worst exit code of each task: after one that was killed and then succeeded on
    /// requeue, the evaluation would wait for ever. So it runs after any end, and checks for itself.
    pub fn evaluate_script(&self) -> String {
        let mut script = String::from(EVALUATE_HEAD);
        directive(&mut script, "job-name", Some(&format!("{}-evaluate", self.name)));
        self.output(&mut script, "evaluate-%j.out");
        self.place(&mut script);
        let values = [
            ("FOLDER", quote(&self.folder)),
            ("EVALUATE", self.command("evaluate")),
            ("REPORT", self.command("report")),
        ];
        script + &fill(EVALUATE_BODY, &values)
    }

    fn output(&self, script: &mut String, name: &str) {
        // A percent sign starts a replacement symbol of Slurm.
        let folder = self.logs.replace('%', "%%");
        directive(script, "output", Some(&format!("\"{folder}/{name}\"")));
        script.push_str("#SBATCH --open-mode=append\n");
    }

    fn place(&self, script: &mut String) {
        directive(script, "partition", self.partition.as_deref());
        directive(script, "time", self.time.as_deref());
    }

    fn command(&self, verb: &str) -> String {
        format!(
            "{} {verb} {} --scale {} \\\n  --work-dir {} \\\n  --results-dir {}",
            quote(&self.program),
            quote(&self.experiment),
            quote(&self.scale),
            quote(&self.work_dir),
            quote(&self.results_dir),
        )
    }
}

/// Replaces `@KEY@`. In one pass, so that a path with such a word in it stays as it is.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let value_of = |key: &str| values.iter().find(|(name, _)| *name == key).map(|(_, value)| value);
    template.split('@').map(|piece| value_of(piece).map_or(piece, |value| value.as_str())).collect()
}

fn directive(script: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        // Writing to a String cannot fail.
        let _ = writeln!(script, "#SBATCH --{key}={value}");
    }
}

/// `text` as one word of a POSIX shell.
///
/// # Examples
/// ```
/// assert_eq!(dubench::plan::slurm::quote("it's"), r"'it'\''s'");
/// ```
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Seconds of a Slurm time limit: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M` or `D-H:M:S`.
///
/// # Examples
/// ```
/// use dubench::plan::slurm::time_limit_seconds;
/// assert_eq!(time_limit_seconds("90"), Some(90 * 60));
/// assert_eq!(time_limit_seconds("4:00:00"), Some(4 * 3600));
/// assert_eq!(time_limit_seconds("2-12"), Some(60 * 3600));
/// assert_eq!(time_limit_seconds("4h"), None);
/// ```
pub fn time_limit_seconds(text: &str) -> Option<u64> {
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts = rest.split(':').map(number).collect::<Option<Vec<u64>>>()?;
    let (hours, minutes, seconds) = match (days, parts.as_slice()) {
        (None, [m]) => (0, *m, 0),
        (None, [m, s]) => (0, *m, *s),
        (Some(_), [h]) => (*h, 0, 0),
        (Some(_), [h, m]) => (*h, *m, 0),
        (_, [h, m, s]) => (*h, *m, *s),
        _ => return None,
    };
    Some(days.unwrap_or(0) * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse::<u32>().ok()).flatten().map(u64::from)
}

const ARRAY_HEAD: &str = "#!/bin/bash
# One shard of a `dubench run` a task: the blocks b with b mod DUBENCH_SHARDS = SLURM_ARRAY_TASK_ID.
# Submitting this again redoes what is missing and nothing else; `sbatch --array=2,5` does so for two shards.
";

const ARRAY_BODY: &str = r#"
# Frozen here. Slurm's own task count is that of one submission and would renumber the blocks of a repeated shard.
export DUBENCH_SHARDS=@SHARDS@
unset DUBENCH_SHARD

cd @FOLDER@ || exit 7

# USR1: the time is nearly up, go on in a further job. TERM: cancelled or preempted; Slurm tells the program itself.
why= child=
trap 'why=${why:-time}; [ -z "$child" ] || kill -USR1 "$child"' USR1
trap 'why=cancel' TERM

# In the background, because bash runs a trap only between commands, or while it waits.
@RUN@ &
child=$!
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
status=$?

# 75: stopped between two steps, nothing lost. 138: USR1 came before the program could listen.
if [ "$why" = time ] && { [ "$status" -eq 75 ] || [ "$status" -eq 138 ]; } && [ "${SLURM_RESTART_COUNT:-0}" -lt @RESTARTS@ ]; then
  # Not SLURM_JOB_ID: in the task that started last, that is the id of the whole array.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
fi
exit "$status"
"#;

const EVALUATE_HEAD: &str = "#!/bin/bash
# Numbers, tables and plots of a `dubench run` whose array has ended: sbatch --dependency=afterany:ARRAY evaluate.sh
# Never `afterok`: it remembers a task that failed once, even if it succeeded when it was queued again.
";

const EVALUATE_BODY: &str = r#"
# A shard of whoever submitted this is none of ours.
unset DUBENCH_SHARD DUBENCH_SHARDS

cd @FOLDER@ || exit 7

# Needs no device: only what the tasks have published. With blocks missing, it names them and ends with 4.
@EVALUATE@
status=$?
[ "$status" -ne 4 ] || echo "incomplete: submit again; the blocks that are done will be found" >&2
[ "$status" -eq 0 ] || exit "$status"

exec @REPORT@
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> SlurmJobs {
        SlurmJobs {
            name: "table1-cifar10-mini".into(),
            program: "/cluster/bin/dubench".into(),
            folder: "/cluster/dubench".into(),
            experiment: "/cluster/dubench/experiments/table1-cifar10.yaml".into(),
            scale: "mini".into(),
            work_dir: "/cluster/dubench/work".into(),
            results_dir: "/cluster/dubench/results".into(),
            logs: "/cluster/dubench/work/slurm/table1-cifar10-mini".into(),
            run_options: vec!["--device".into(), "cuda".into()],
            n_shards: 16,
            throttle: Some(8),
            partition: Some("gpu".into()),
            gres: Some("gpu:1".into()),
            time: Some("4:00:00".into()),
            n_cpus: Some(4),
        }
    }

    #[test]
    fn the_scripts_to_read_are_the_scripts_that_are_submitted() {
        assert_eq!(shipped().array_script(), include_str!("../../../scripts/slurm/array.sh"));
        assert_eq!(shipped().evaluate_script(), include_str!("../../../scripts/slurm/evaluate.sh"));
    }

    #[test]
    fn directives_of_an_array_with_nothing_but_defaults() {
        let jobs = SlurmJobs {
            partition: None,
            gres: None,
            time: None,
            n_cpus: None,
            throttle: None,
            logs: "/my 100% own/logs".into(),
            ..shipped()
        };
        let script = jobs.array_script();
        let directives: Vec<&str> =
            script.lines().filter(|line| line.starts_with("#SBATCH")).collect();
        insta::assert_snapshot!(directives.join("\n"), @r#"
        #SBATCH --job-name=table1-cifar10-mini
        #SBATCH --array=0-15
        #SBATCH --output="/my 100%% own/logs/%A_%a.out"
        #SBATCH --open-mode=append
        #SBATCH --signal=B:USR1@120
        #SBATCH --requeue
        "#);
    }

    #[test]
    fn every_form_of_a_time_limit_is_read() {
        let cases = [
            ("5", 300),
            ("5:30", 330),
            ("1:05:30", 3930),
            ("1-0", 86_400),
            ("1-2:03", 93_780),
            ("1-02:03:04", 93_784),
        ];
        for (text, seconds) in cases {
            assert_eq!(time_limit_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "-", "1-", "+5", "4h", "1:2:3:4", "-1:00", "1-2-3", "99999999999"] {
            assert_eq!(time_limit_seconds(text), None, "{text:?} was accepted");
        }
    }
}
