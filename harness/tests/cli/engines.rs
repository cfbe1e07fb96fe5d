//! The templates of `scripts/cluster/`: `HyperQueue`, Kubernetes and GNU parallel start their tasks with their own
//! variables; here stand-ins do, with the templates' own command lines.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure here is a failed test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ended, Folder, skip};

const ARRAY_YAML: &str = include_str!("../../../scripts/cluster/kubernetes.yaml");
const EVALUATE_YAML: &str = include_str!("../../../scripts/cluster/kubernetes-evaluate.yaml");

/// Runs a template with `program` in `bin/` as the engine.
fn template(folder: &Folder, script: &str, count: &str, (program, engine): (&str, &str)) -> Ended {
    folder.program(program, engine);
    started(folder, script, count)
}

/// Runs a template with whatever engine there is.
fn started(folder: &Folder, script: &str, count: &str) -> Ended {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/cluster").join(script);
    let mut command = Command::new("bash");
    command.arg(script).args([
        "tiny.yaml",
        "smoke",
        count,
        "--work-dir",
        "shared",
        "--threads",
        "1",
    ]);
    let path = format!("{}:/usr/bin:/bin", folder.path("bin").display());
    command.envs([("PATH", path.as_str()), ("DUBENCH", env!("CARGO_BIN_EXE_dubench"))]);
    // Left over in the shell of whoever starts it.
    folder.ended(command.env("DUBENCH_SHARD", "0/1"))
}

/// Takes its options apart as `hq submit` does, and runs the command once an id; task 1 is lost where `LOSE` exists.
const HQ: &str = r#"
[ "$1" = submit ] && shift
while [ "$1" != -- ]; do
  case $1 in
    --array=*) array=${1#--array=} ;;
    --env=*) export "${1#--env=}" ;;
    --wait | --name=* | --cpus=* | --resource=gpus/nvidia=* | --crash-limit=*) ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
shift
for HQ_TASK_ID in $(seq "${array%-*}" "${array#*-}"); do
  export HQ_TASK_ID HQ_JOB_ID=1 HQ_INSTANCE_ID=0
  [ "$HQ_TASK_ID" = 1 ] && [ -e LOSE ] && failed=1 && continue
  "$@" || failed=1
done
exit "${failed:-0}"
"#;

#[test]
fn hyperqueue_gives_the_numbers_of_one_process_and_names_what_is_missing() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    folder.text("LOSE", "");
    let lost = template(&folder, "hyperqueue.sh", "3", ("hq", HQ));
    lost.fails(4, &["some tasks have failed", "1 of 3 blocks", "are missing: 1;"]);
    std::fs::remove_file(folder.path("LOSE")).unwrap();
    let again = template(&folder, "hyperqueue.sh", "3", ("hq", HQ));
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(folder.digest(&["--work-dir", "shared"]), whole);
}

/// Writes down and runs the command for every line of its input, with `{%}` and `{}` replaced as `parallel` does.
const PARALLEL: &str = r#"
while [ $# -gt 1 ]; do
  case $1 in
    --jobs) jobs=$2; shift 2 ;;
    --retries | --termseq) shift 2 ;;
    --line-buffer) shift ;;
    *) echo "unknown option $1" >&2; exit 2 ;;
  esac
done
slot=0
while read -r share; do
  slot=$((slot % jobs + 1))
  command=${1//\{%\}/$slot}
  command=${command//\{\}/$share}
  echo "$command" >> commands
  bash -c "$command" || exit 1
done
"#;

#[test]
fn one_box_gives_every_slot_a_gpu_and_the_numbers_of_one_process() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    let ended = template(&folder, "one_box.sh", "2", ("parallel", PARALLEL));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let commands = std::fs::read_to_string(folder.path("commands")).unwrap();
    let of = |command: &str, before: &str| {
        let rest = command.split_once(before).unwrap().1.to_owned();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let shares: Vec<String> = commands.lines().map(|line| of(line, "--shard ")).collect();
    assert_eq!(shares, (0..8).map(|i| format!("{i}/8")).collect::<Vec<_>>());
    let gpu =
        |line: &str| line.split_once(" - 1))").unwrap().0.replace("CUDA_VISIBLE_DEVICES=$((", "");
    let slots: BTreeSet<String> = commands.lines().map(gpu).collect();
    assert_eq!(slots, BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    assert_eq!(folder.digest(&["--work-dir", "shared"]), whole);
}

#[test]
fn one_box_under_gnu_parallel_itself_gives_the_numbers_of_one_process() {
    let version = Command::new("/usr/bin/parallel").arg("--version").output();
    // Another program of this name takes other options.
    if !version.is_ok_and(|out| out.stdout.starts_with(b"GNU parallel")) {
        return skip("one_box_under_gnu_parallel_itself", "GNU parallel is not in /usr/bin");
    }
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    let ended = started(&folder, "one_box.sh", "2");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(folder.digest(&["--work-dir", "shared"]), whole);
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Exit codes that a rule of the failure policy with this action names.
fn codes(job: &Value, action: &str) -> BTreeSet<u64> {
    let rules = job["spec"]["podFailurePolicy"]["rules"].as_array().unwrap();
    let of_action = rules.iter().filter(|rule| rule["action"] == action);
    let values = of_action.filter_map(|rule| rule["onExitCodes"]["values"].as_array());
    values.flatten().map(|code| code.as_u64().unwrap()).collect()
}

/// Runs a container's command on the tiny experiment: the same words, other paths.
fn container(folder: &Folder, container: &Value, variables: &[(String, String)]) -> Ended {
    assert_eq!(strings(&container["command"]), ["dubench"]);
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/data");
    let data = folder.path("").display().to_string();
    let arguments = strings(&container["args"]).into_iter().map(|word| match word.as_str() {
        "/data/experiments/table1-cifar10.yaml" => format!("{data}tiny.yaml"),
        "mini" => "smoke".to_owned(),
        "cuda" => "cpu".to_owned(),
        _ => word.replace("/data/", &data),
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_dubench"));
    command.args(arguments).envs(variables.iter().cloned());
    folder.ended(&mut command)
}

#[test]
fn the_kubernetes_job_is_indexed_and_treats_exit_codes_as_they_mean() {
    let job = yaml(ARRAY_YAML);
    let spec = &job["spec"];
    assert_eq!((&job["apiVersion"], &job["kind"]), (&"batch/v1".into(), &"Job".into()));
    assert_eq!(spec["completionMode"], "Indexed");
    assert!(spec["parallelism"].as_u64().unwrap() <= spec["completions"].as_u64().unwrap());
    // Both are required by a failure policy and by backoffLimitPerIndex.
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert!(spec["backoffLimitPerIndex"].as_u64().unwrap() >= 1);
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > 10);
    let first = &spec["podFailurePolicy"]["rules"][0];
    assert_eq!(
        (&first["action"], &first["onPodConditions"][0]["type"]),
        (&"Ignore".into(), &"DisruptionTarget".into())
    );
    assert_eq!(codes(&job, "Ignore"), BTreeSet::from([75]));
    assert_eq!(codes(&job, "FailIndex"), BTreeSet::from([2, 3, 5, 6]));
    for rule in spec["podFailurePolicy"]["rules"].as_array().unwrap().iter().skip(1) {
        assert_eq!(rule["onExitCodes"]["containerName"], pod["containers"][0]["name"]);
        assert_eq!(rule["onExitCodes"]["operator"], "In");
    }
    let environment = &pod["containers"][0]["env"][0];
    assert_eq!(environment["name"], "DUBENCH_SHARDS");
    assert_eq!(environment["value"], spec["completions"].to_string());
    // The cluster sets it, and would be overruled.
    assert!(!ARRAY_YAML.contains("name: JOB_COMPLETION_INDEX"));
}

#[test]
fn the_kubernetes_containers_give_the_numbers_of_one_process() {
    let folder = Folder::new();
    let whole = folder.digest(&["--work-dir", "whole", "--results-dir", "r1"]);
    let (job, evaluation) = (yaml(ARRAY_YAML), yaml(EVALUATE_YAML));
    let worker = &job["spec"]["template"]["spec"]["containers"][0];
    let shards = worker["env"][0]["value"].as_str().unwrap().to_owned();
    let pod = &evaluation["spec"]["template"]["spec"];
    assert_eq!(pod["restartPolicy"], "Never");
    assert_eq!(codes(&evaluation, "FailJob"), BTreeSet::from([2, 3, 4, 5, 6]));
    let run = |index: usize| {
        let variables = [
            ("DUBENCH_SHARDS".to_owned(), shards.clone()),
            ("JOB_COMPLETION_INDEX".to_owned(), index.to_string()),
        ];
        container(&folder, worker, &variables).code
    };
    let indexes: usize = shards.parse().unwrap();
    assert_eq!((run(0), run(2), run(indexes)), (0, 0, 2));
    let early = container(&folder, &pod["initContainers"][0], &[]);
    early.fails(4, &["1 of 3 blocks", "are missing: 1;"]);
    for index in 1..indexes {
        assert_eq!(run(index), 0);
    }
    for part in [&pod["initContainers"][0], &pod["containers"][0]] {
        let ended = container(&folder, part, &[]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    assert_eq!(folder.digest(&["--work-dir", "work"]), whole);
}
