//! How to add an estimator, a guidance rule, a sampler, a protocol: a worked example each, and a test that runs it.
//!
//! A file here is what one writes in `harness/src/`, with `crate` where it says `dubench`. Two lines make experiments know
//! it: one of `mod`, here as in the `mod.rs` of the family, and one in the family's list, here as in its `kinds.rs`.

mod bench;
mod estimator;
mod guidance_rule;
mod protocol;
mod sampler;

use dubench::guidance::RuleSettings;
use dubench::protocol::Protocol;
use dubench::sampler::SamplerSettings;
use dubench::uncertainty::EstimatorSettings;

dubench::kinds! {
    /// As `EstimatorConfig`: `estimators: [{kind: squared_range, n_draws: 3}]`.
    pub enum Estimators: EstimatorSettings {
        "squared_range", "Squared range" => SquaredRange(estimator::SquaredRangeSettings),
    }
}

dubench::kinds! {
    /// As `RuleConfig`: `rule: {kind: damp, lambda: 0.5}`.
    pub enum Rules: RuleSettings {
        "damp", "Damped" => Damp(guidance_rule::Damp),
    }
}

dubench::kinds! {
    /// As `SamplerConfig`: `sampler: {kind: trapezoid, n_steps: 50}`.
    pub enum Samplers: SamplerSettings {
        "trapezoid", "Trapezoid" => Trapezoid(sampler::TrapezoidSettings),
    }
}

dubench::kinds! {
    /// As `ProtocolConfig`: `protocol: {kind: score_means}`.
    pub enum Protocols: Protocol {
        "score_means", "Score means" => ScoreMeans(protocol::ScoreMeans),
    }
}

#[test]
fn what_makes_none_is_refused() {
    let damp: Rules = bench::read("{kind: damp, lambda: 2, percentile: 0.95}");
    assert_eq!(damp.faults()[0].key, "lambda");
    let error = bench::try_guidance(&*damp).err().unwrap().to_string();
    assert_eq!(error, "damp: lambda: it turns the prediction round: use 0 to 1");
    let unknown = serde_yaml::from_str::<Samplers>("{kind: trapezoid, n_steps: 9, order: 2}");
    assert!(unknown.unwrap_err().to_string().contains("unknown field `order`"));
}

#[test]
fn readers_see_the_names_of_the_list() {
    assert_eq!(Estimators::label_of("squared_range"), Some("Squared range"));
    let kinds = [Rules::KINDS, Samplers::KINDS, Protocols::KINDS].map(|kinds| kinds[0].0);
    assert_eq!(kinds, ["damp", "trapezoid", "score_means"]);
}
