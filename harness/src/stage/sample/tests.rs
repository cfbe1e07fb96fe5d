use ndarray::Array4;

use super::*;
use crate::config::AnalyticConfig;
use crate::exit::{Exit, Exits};
use crate::stage::generate::starts::initial_states;
use crate::stage::open::analytic;
use crate::stage::progress::Silent;
use crate::uncertainty::{Defaults, Window};

const SHAPE: [usize; 3] = [3, 4, 4];

/// `x_0 ~ N(0.2, 0.5^2)` a pixel.
fn model(classes: Option<u32>) -> OpenModel {
    let classes = classes.map_or("null".to_owned(), |n| n.to_string());
    let text = format!(
        r#"{{"shape": [3, 4, 4], "mean": 0.2, "std": 0.5, "classes": {classes}, "dropout": false,
            "schedule": {{"kind": "linear", "beta_start": 1e-4, "beta_end": 0.02, "n_train_steps": 1000}}}}"#
    );
    let config: AnalyticConfig = serde_json::from_str(&text).unwrap();
    analytic(&config).unwrap()
}

fn estimator(start: u32, len: u32) -> EstimatorPlan {
    let config = serde_json::from_str(r#"{"kind": "sample_var", "n_draws": 4}"#).unwrap();
    let window = Window { start, len };
    let defaults = Defaults { n_draws: 4, window, dropout_p: 0.5, dropout_window: window };
    EstimatorPlan::resolve(&config, window, &defaults)
}

fn request(n: u64, batch: usize) -> SampleRequest {
    SampleRequest {
        seed: 11,
        samples: (0..n).map(SampleId).collect(),
        starts: None,
        labels: None,
        sampler: serde_json::from_str(r#"{"kind": "ddim", "n_steps": 10}"#).unwrap(),
        estimators: vec![estimator(8, 2)],
        batch_size: NonZeroUsize::new(batch).unwrap(),
    }
}

fn sampled(request: &SampleRequest, model: &mut OpenModel) -> Result<Samples, StageError> {
    sample(request, model, (&Stop::default(), &Silent))
}

#[test]
fn the_batch_changes_no_digit_and_evaluations_are_counted() {
    let mut model = model(None);
    let whole = sampled(&request(5, 5), &mut model).unwrap();
    let pieces = sampled(&request(5, 2), &mut model).unwrap();
    assert_eq!((&whole.x0, &whole.images), (&pieces.x0, &pieces.images));
    assert_eq!(whole.methods[0].score, pieces.methods[0].score);
    assert_eq!(whole.methods[0].map, pieces.methods[0].map);
    assert_eq!((whole.nfe_trajectory, whole.methods[0].nfe.estimator), (10, 8));
    assert_eq!(whole.methods[0].map.as_ref().unwrap()[4].shape(), [1, 4, 4]);
}

#[test]
fn given_starts_are_what_the_walk_begins_at() {
    let mut model = model(None);
    let keyed = sampled(&request(3, 2), &mut model).unwrap();
    let mut given = request(3, 2);
    given.starts = Some(initial_states(given.seed, &given.samples, SHAPE));
    assert_eq!(sampled(&given, &mut model).unwrap().x0, keyed.x0);
    given.starts = given.starts.map(|states| -states);
    assert_ne!(sampled(&given, &mut model).unwrap().x0, keyed.x0);
}

#[test]
fn starts_and_labels_that_do_not_fit_are_refused() {
    let mut unconditional = model(None);
    let mut wrong = request(3, 2);
    wrong.starts = Some(Array4::zeros((2, 3, 4, 4)));
    let message = sampled(&wrong, &mut unconditional).unwrap_err().to_string();
    assert!(message.contains("starts") && message.contains("[3, 3, 4, 4]"), "{message}");
    let mut labelled = request(2, 2);
    labelled.labels = Some(vec![ClassLabel(0), ClassLabel(4)]);
    let message = sampled(&labelled, &mut unconditional).unwrap_err().to_string();
    assert!(message.contains("unconditional"), "{message}");
    let message = sampled(&labelled, &mut model(Some(4))).unwrap_err().to_string();
    assert!(message.contains("label 4: its classes are 0..=3"), "{message}");
    labelled.labels = Some(vec![ClassLabel(3), ClassLabel(1)]);
    let got = sampled(&labelled, &mut model(Some(4))).unwrap();
    assert_eq!(got.labels, labelled.labels);
}

#[test]
fn a_window_past_the_walk_and_a_stop_end_it() {
    let mut late = request(2, 2);
    late.estimators = vec![estimator(8, 3)];
    let message = sampled(&late, &mut model(None)).unwrap_err().to_string();
    assert!(message.contains("ends past the last step 9"), "{message}");
    let stop = Stop::default();
    stop.request();
    let ended = sample(&request(2, 2), &mut model(None), (&stop, &Silent));
    assert_eq!(ended.unwrap_err().exit(), Exit::Interrupted);
}
