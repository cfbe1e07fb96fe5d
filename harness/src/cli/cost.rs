//! What `dubench plan --cost` prints.

use bytesize::ByteSize;

use super::arguments::PlanOptions;
use super::error::CliError;
use super::session;
use crate::experiment::{Experiment, Plan};
use crate::report::number;
use crate::stage::cost::{ArmCost, Cost, cost};
use crate::stage::open::inputs;

/// How fast the device is that a plan is for.
#[derive(Clone, Copy, Debug)]
enum Speed {
    /// Evaluations of one image a second.
    Evaluations(f64),
    /// Operations a second.
    Operations(f64),
}

impl Speed {
    /// The speed that the options name, where they name one.
    fn of(options: &PlanOptions) -> Result<Option<Self>, CliError> {
        let positive = |option, value: f64| {
            if value.is_finite() && value > 0.0 {
                return Ok(value);
            }
            Err(CliError::option(option, &value.to_string(), "a number above 0"))
        };
        match (options.evaluations_per_second, options.flops_per_second) {
            (Some(value), _) => {
                Ok(Some(Self::Evaluations(positive("--evaluations-per-second", value)?)))
            }
            (None, Some(value)) => {
                Ok(Some(Self::Operations(positive("--flops-per-second", value)?)))
            }
            (None, None) => Ok(None),
        }
    }

    fn seconds(self, cost: &Cost) -> Result<f64, CliError> {
        match self {
            Self::Evaluations(a_second) => Ok(cost.seconds_at_evaluations(a_second)),
            Self::Operations(a_second) => {
                let all = cost.operations().ok_or_else(|| {
                    let why = cost.networks.unknown.join("; ");
                    let expected = format!("--evaluations-per-second: {why}");
                    CliError::option("--flops-per-second", &a_second.to_string(), &expected)
                })?;
                Ok(all as f64 / a_second)
            }
        }
    }

    fn words(self) -> String {
        match self {
            Self::Evaluations(a_second) => format!("{a_second} evaluations a second"),
            Self::Operations(a_second) => format!("{a_second:e} operations a second"),
        }
    }
}

/// The cost of a plan, as JSON and as text.
///
/// # Errors
/// Those of opening the model, and [`CliError::Option`] for a speed that cannot be.
pub(super) fn answer(
    options: &PlanOptions,
    (experiment, plan): (&Experiment, &Plan),
) -> Result<(serde_json::Value, String), CliError> {
    let speed = Speed::of(options)?;
    let sizes = inputs::scale_of(experiment, &plan.scale)?;
    let batch = options.device.batch.unwrap_or(sizes.batch_size as usize);
    let runtime = session::runtime(&options.device, batch)?;
    let cost = cost(experiment, plan, &runtime)?;
    let seconds = speed.map(|speed| speed.seconds(&cost)).transpose()?;
    let mut lines = table(&cost);
    lines.extend(networks(&cost, batch as u64));
    if let (Some(speed), Some(seconds)) = (speed, seconds) {
        lines.push(format!("time         {} at {}", duration(seconds), speed.words()));
    }
    let value = serde_json::json!({
        "plan_id": plan.id(), "cost": cost, "batch_size": batch, "seconds": seconds,
        "total": {
            "evaluations": cost.evaluations(), "products": cost.products(),
            "operations": cost.operations(), "bytes": cost.bytes(),
        },
    });
    Ok((value, lines.join("\n")))
}

/// Evaluations and products of one image, then of all.
const HEADINGS: [&str; 7] = [
    "images",
    "evaluations",
    "products",
    "all evaluations",
    "all products",
    "operations",
    "work folder",
];

/// One line an arm, then all of them.
fn table(cost: &Cost) -> Vec<String> {
    let row = |arm: &ArmCost| {
        let n = arm.n_images;
        let cells = [
            number::count(n),
            number::count(arm.evaluations.all()),
            number::count(arm.evaluations.reverse()),
            number::count(n * arm.evaluations.all()),
            number::count(n * arm.evaluations.reverse()),
            operations(arm.operations.map(|one| n * one)),
            bytes(arm.bytes.map(|one| n * one)),
        ];
        (arm.name.clone(), cells)
    };
    let mut rows: Vec<(String, [String; 7])> = cost.arms.iter().map(row).collect();
    let images = cost.arms.iter().map(|arm| arm.n_images).sum();
    let total = [
        number::count(images),
        String::new(),
        String::new(),
        number::count(cost.evaluations()),
        number::count(cost.products()),
        operations(cost.operations()),
        bytes(cost.bytes()),
    ];
    rows.push(("total".to_owned(), total));
    let name = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(12);
    let width = |at: usize| {
        let cells = rows.iter().map(|(_, cells)| cells[at].len());
        cells.max().unwrap_or(0).max(HEADINGS[at].len())
    };
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |title: &str, cells: &[String; 7]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("  {cell:>width$}"));
        format!("{title:<name$}{}", cells.collect::<String>())
    };
    let heading = line("an image", &HEADINGS.map(str::to_owned));
    std::iter::once(heading).chain(rows.iter().map(|(title, cells)| line(title, cells))).collect()
}

fn networks(cost: &Cost, batch: u64) -> Vec<String> {
    let of = &cost.networks;
    let mut lines = vec![
        String::new(),
        format!(
            "operations   {} a prediction, {} more a product, {} an image decoded, {} its features; two a multiply-add of products and convolutions",
            operations(of.forward),
            operations(of.reverse),
            operations(of.decoder),
            operations(of.extractor)
        ),
    ];
    lines.extend(of.unknown.iter().map(|why| format!("not known    {why}")));
    let working = |one: Option<std::num::NonZeroUsize>| bytes(one.map(|n| n.get() as u64 * batch));
    let product = match of.bytes_per_product {
        None => String::new(),
        one => format!(", {} for products", working(one)),
    };
    lines.push(format!(
        "memory       {} of files, {} of working values in calls of {batch} images{product}",
        bytes(Some(of.weight_bytes)),
        working(of.bytes_per_image)
    ));
    lines
}

/// Three digits and a power of ten.
fn operations(n: Option<u64>) -> String {
    match n {
        None => "not known".to_owned(),
        Some(0) => "0".to_owned(),
        Some(n) => format!("{:.2e}", n as f64),
    }
}

fn bytes(n: Option<u64>) -> String {
    n.map_or("not known".to_owned(), |n| ByteSize(n).display().iec().to_string())
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.1} minutes", seconds / 60.0)
    } else {
        format!("{:.1} hours", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{duration, operations};

    #[test]
    fn times_have_the_unit_that_a_reader_wants() {
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(600.0), "10.0 minutes");
        assert_eq!(duration(86_400.0), "24.0 hours");
    }

    #[test]
    fn what_is_not_known_is_not_nothing() {
        assert_eq!(operations(None), "not known");
        assert_eq!(operations(Some(0)), "0");
        assert_eq!(operations(Some(4_100_000_000)), "4.10e9");
    }
}
