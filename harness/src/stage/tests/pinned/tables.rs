//! What is pinned of each experiment.

use super::adapter::{self, Block, DPM_SOLVER, Lab, Limits, as_opened};
use super::encoding::{Table, digest, digest_of};
use super::experiments::{
    MASKED_RULES, NOISE, RULES, SCHEDULES, estimators, guided, images, mixture, reconstructed,
    samplers, sampling,
};
use super::numbers::numbers;

const DDIM: &str = "{kind: ddim, n_steps: 8}";

fn dpm_solver(n_steps: u32) -> String {
    format!("{{kind: {DPM_SOLVER}, n_steps: {n_steps}}}")
}

/// Images, scores and maps of a block under `name`.
fn add_block(table: &mut Table, name: &str, block: &Block) {
    table.add(format!("{name}: images"), digest_of(&block.images));
    for method in &block.methods {
        let scores = digest(&[method.scores.len()], &method.scores);
        table.add(format!("{name}: scores of {}", method.name), scores);
        if let Some(maps) = &method.maps {
            table.add(format!("{name}: maps of {}", method.name), digest_of(maps));
        }
    }
}

/// Starts, classes, and images, scores and maps of everything that takes no thresholds of a set.
pub(super) fn generate() -> Table {
    let mut table = Table::default();
    add_starts(&mut table);
    add_samplers(&mut table);
    for (sampler, text) in [("ddim", DDIM.to_owned()), ("dpm-solver++(2m)", dpm_solver(8))] {
        let blocks = Lab::new(&estimators(&text), &images(), &as_opened).blocks();
        add_block(&mut table, &format!("estimators under {sampler}"), &blocks[0]);
        let blocks = Lab::new(&guided(&RULES, &text), &images(), &mixture).blocks();
        assert_eq!(blocks.len(), 1 + RULES.len());
        table.add(
            format!("guidance under {sampler}, unguided: images"),
            digest_of(&blocks[0].images),
        );
        for ((name, _), block) in RULES.iter().zip(&blocks[1..]) {
            add_block(&mut table, &format!("guidance under {sampler}, {name}"), block);
        }
        // Nine steps of the solver: the fourth of eight is at half of the training times, which is a noise level of its own.
        let text = if sampler == "ddim" { text } else { dpm_solver(9) };
        let blocks = Lab::new(&reconstructed(&text), &images(), &as_opened).blocks();
        assert_eq!(blocks.len(), NOISE.len());
        for (noise, block) in NOISE.iter().zip(&blocks) {
            add_block(&mut table, &format!("reconstruction under {sampler}, noise {noise}"), block);
        }
    }
    table
}

fn add_starts(table: &mut Table) {
    let samples = [0, 1, 2, 3, 60_000, (1 << 33) + 5];
    for seed in [0, 7, u64::MAX] {
        let states = adapter::starts_of(seed, &samples, [3, 8, 8]);
        table.add(format!("x_T of seed {seed}"), digest_of(&states));
        let labels = adapter::labels_of(seed, &samples, 1000);
        table.add(format!("classes of seed {seed}"), digest(&[labels.len()], &labels));
    }
    let states = adapter::starts_of(7, &samples, [3, 32, 32]);
    table.add("x_T of seed 7, 32 x 32", digest_of(&states));
}

fn add_samplers(table: &mut Table) {
    let mut labels = None;
    let mut add = |name: String, text: &str| {
        let block = Lab::new(text, &images(), &as_opened).blocks().remove(0);
        add_block(table, &name, &block);
        labels = block.labels;
    };
    for (name, sampler) in samplers() {
        add(name, &sampling(None, &sampler));
    }
    for (name, schedule) in SCHEDULES {
        for (sampler, text) in [("ddim", DDIM), ("dpm-solver++(2m)", &dpm_solver(8))] {
            add(format!("{name} schedule, {sampler}"), &sampling(Some(schedule), text));
        }
    }
    let labels = labels.unwrap();
    table.add("classes of a block", digest(&[labels.len()], &labels));
}

/// Maps of threshold sets, what is taken of them, and what is guided by it.
pub(super) fn thresholds() -> Table {
    let mut table = Table::default();
    for (sampler, text) in [("ddim", DDIM.to_owned()), ("dpm-solver++(2m)", dpm_solver(8))] {
        let lab = Lab::new(&guided(&MASKED_RULES, &text), &images(), &mixture);
        for ((name, _), block) in MASKED_RULES.iter().zip(&lab.blocks()[1..]) {
            add_block(&mut table, &format!("guidance under {sampler}, {name}"), block);
        }
        for (index, (kind, limits)) in lab.thresholds().into_iter().enumerate() {
            let digest = match limits {
                Limits::Pixel(values) => digest_of(&values),
                Limits::Scalar(values) => digest(&[values.len()], &values),
            };
            table.add(format!("thresholds {index} under {sampler}, {kind}"), digest);
        }
        for (index, maps) in lab.set_maps(3).iter().enumerate() {
            let name = format!("maps of step 3 under {sampler}, block {index} of the sets");
            table.add(name, digest_of(maps));
        }
    }
    table
}

/// Features of a block.
pub(super) fn features() -> Table {
    let mut table = Table::default();
    let lab = Lab::new(&estimators(DDIM), &images(), &as_opened);
    lab.blocks();
    table.add("features of a block", digest_of(&lab.features()[0]));
    table
}

/// A few numbers of every protocol.
pub(super) fn evaluate() -> Table {
    let mut table = Table::default();
    for (name, value) in numbers(DDIM) {
        table.add(name, format!("{value:e}"));
    }
    table
}
