//! Levels of every schedule against closed forms.

use super::*;

const TIMES: [u32; 12] = [0, 4, 10, 25, 40, 49, 60, 80, 100, 480, 500, 980];

fn assert_anchors(schedule: &NoiseSchedule, expected: [f64; 12]) {
    for (t, expected) in TIMES.into_iter().zip(expected) {
        let got = schedule.alpha_bar(Timestep(t));
        assert!((got - expected).abs() < 5.1e-7, "t={t}: {got}, expected {expected}");
    }
}

#[test]
fn cosine_has_the_published_values() {
    let schedule = NoiseSchedule::cosine(1000).unwrap();
    assert_anchors(
        &schedule,
        [
            0.999_959, 0.999_745, 0.999_279, 0.997_350, 0.994_335, 0.992_007, 0.988_637, 0.981_040,
            0.971_576, 0.523_448, 0.492_285, 0.000_877,
        ],
    );
    assert!(schedule.alpha_bar(Timestep(999)) < 1e-8);
    assert!((schedule.beta(Timestep(999)) - 0.999).abs() < 1e-15);
}

#[test]
fn linear_has_the_published_values() {
    let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
    assert_anchors(
        &schedule,
        [
            0.999_900, 0.999_301, 0.997_807, 0.990_965, 0.979_767, 0.971_016, 0.958_321, 0.929_897,
            0.895_142, 0.094_869, 0.077_797, 0.000_059,
        ],
    );
    assert!((schedule.alpha_bar(Timestep(999)) - 0.000_040).abs() < 5.1e-7);
}

#[test]
fn scaled_linear_has_the_published_values() {
    let schedule = NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap();
    assert_anchors(
        &schedule,
        [
            0.999_150, 0.995_710, 0.990_431, 0.976_606, 0.961_886, 0.952_626, 0.940_875, 0.918_307,
            0.894_223, 0.303_694, 0.276_333, 0.005_844,
        ],
    );
    assert!((schedule.alpha_bar(Timestep(999)) - 0.004_660).abs() < 5.1e-7);
}

#[test]
fn alpha_bar_falls_and_starts_at_one_minus_beta() {
    let schedule = NoiseSchedule::linear(1e-4, 0.02, 1000).unwrap();
    assert!((schedule.alpha_bar(Timestep(0)) - (1.0 - 1e-4)).abs() < 1e-15);
    assert!(
        (1..1000).all(|t| schedule.alpha_bar(Timestep(t)) < schedule.alpha_bar(Timestep(t - 1)))
    );
    assert_eq!(schedule.last(), Some(Timestep(999)));
}

#[test]
fn a_place_between_two_steps_is_found_by_its_noise() {
    let schedule = NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap();
    for t in [0.0, 3.25, 500.0, 998.5, 999.0] {
        let place = schedule.place(t);
        let found = schedule.at_sigma(place.level.sigma());
        assert!((found.t - t).abs() < 1e-7, "{t}: {}", found.t);
        assert!((found.level.a() - place.level.a()).abs() < 1e-12);
    }
    assert_eq!(schedule.place(480.0), schedule.at(Timestep(480)));
    assert_eq!(schedule.noisiest(), schedule.at(Timestep(999)));
}

#[test]
fn rescaling_keeps_the_first_level_and_takes_the_signal_from_the_last() {
    let plain = NoiseSchedule::scaled_linear(0.000_85, 0.012, 1000).unwrap();
    let rescaled = plain.clone().rescaled_to_zero_terminal_snr();
    let of = |schedule: &NoiseSchedule, t| schedule.at(Timestep(t)).level.a();
    assert!((of(&rescaled, 0) - of(&plain, 0)).abs() < 1e-15);
    let scaled =
        (of(&plain, 500) - of(&plain, 999)) * of(&plain, 0) / (of(&plain, 0) - of(&plain, 999));
    assert!((of(&rescaled, 500) - scaled).abs() < 1e-12);
    let end = rescaled.at(Timestep(999));
    assert!((end.level.a() - NoiseLevel::LEAST_SIGNAL).abs() < 1e-15);
    let found = rescaled.at_sigma(end.level.sigma()).t;
    // Several steps are held there, and any of them will do.
    assert!((rescaled.level(found).a() - end.level.a()).abs() < 1e-12, "{found}");
    let product = (0..=700).fold(1.0, |all, t| all * (1.0 - rescaled.beta(Timestep(t))));
    assert!((product - rescaled.alpha_bar(Timestep(700))).abs() < 1e-12);
}

#[test]
fn impossible_schedules_are_refused_with_the_reason() {
    for (start, end) in [(0.0, 0.02), (0.02, 1e-4), (1e-4, 1.0), (f64::NAN, 0.02)] {
        assert!(matches!(NoiseSchedule::linear(start, end, 1000), Err(ScheduleError::Beta { .. })));
    }
    assert_eq!(NoiseSchedule::cosine(1), Err(ScheduleError::TooFewTrainSteps { got: 1 }));
    let message = NoiseSchedule::linear(0.9, 0.99, 1000).unwrap_err().to_string();
    assert!(message.contains("expected a value in (0, 1)"), "{message}");
}
