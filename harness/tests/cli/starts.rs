//! `dubench starts`, and experiments that begin at what it wrote.

use crate::support::{Folder, TINY};

#[test]
fn exported_starts_give_the_numbers_of_the_seed() {
    let folder = Folder::new();
    folder.digest(&[]);
    folder.dubench(&["starts", "tiny.yaml", "-o", "x.npz", "-n", "0"]).fails(2, &["at least 1"]);
    let wrote = folder.dubench(&["starts", "tiny.yaml", "--scale", "smoke", "-o", "starts.npz"]);
    assert_eq!(wrote.code, 0, "{}", wrote.stderr);
    assert!(wrote.stdout.contains("x_T [48, 3, 8, 8], by seed 7"), "{}", wrote.stdout);
    folder.text("tiny.yaml", &format!("{TINY}starts: {{path: starts.npz}}\n"));
    folder.digest(&["--work-dir", "given", "--results-dir", "given"]);
    // The rows name their plans, which differ by the file; every number is the same to a millionth (bits: `stage::generate`).
    let equal =
        ["check", "results/tiny/smoke", "given/tiny/smoke", "--sigmas", "0", "--relative", "0"];
    let checked = folder.dubench(&equal);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let few = ["starts", "tiny.yaml", "--scale", "smoke", "-o", "starts.npz", "-n", "10"];
    assert_eq!(folder.dubench(&few).code, 0);
    let words = ["the file has 10 starts, 48 are asked for"];
    folder.dubench(&["plan", "tiny.yaml", "--scale", "smoke"]).fails(2, &words);
}

#[test]
fn a_plan_says_what_it_costs_and_how_long_it_takes() {
    let folder = Folder::new();
    let plan = ["plan", "tiny.yaml", "--scale", "smoke", "--cost"];
    let text = folder.dubench(&[&plan[..], &["--evaluations-per-second", "8"]].concat());
    assert_eq!(text.code, 0, "{}", text.stderr);
    // 50 steps, five draws at 45 to 48, five at 40 and 41.
    for words in ["pool", "48", "80", "3,840", "8.0 minutes at 8 evaluations a second"] {
        assert!(text.stdout.contains(words), "{words:?} is not in\n{}", text.stdout);
    }
    let json = folder.dubench(&[&plan[..], &["--format", "json"]].concat()).json();
    assert_eq!(json["total"]["evaluations"], 3840);
    assert_eq!(json["cost"]["arms"][0]["evaluations"]["forward"], 80);
    let no_graph = [&plan[..], &["--flops-per-second", "1e12"]].concat();
    folder.dubench(&no_graph).fails(2, &["a model with a closed form has no graph"]);
    let never = [&plan[..], &["--evaluations-per-second", "0"]].concat();
    folder.dubench(&never).fails(2, &["a number above 0"]);
}
