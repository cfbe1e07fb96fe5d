//! Monte-Carlo check of the error bars: how often the 95 % interval covers, and how often `compare` and the filter
//! p-value reject where nothing differs. Prints one JSON line a case.
//!
//! `cargo run -p dubench-metrics --example coverage -- [REPLICATIONS]`
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use dubench_metrics::{
    EstimateOptions, FilterStudy, Gaussian, Reference, compare_paired, compare_unpaired,
};
use ndarray::{Array1, Array2};
use std::error::Error;

const DIM: usize = 16;
const ROWS: usize = 1000;

/// A stream of uniform numbers.
struct Stream(u64);

impl Stream {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// A law of one feature with mean 0 and variance 1.
#[derive(Debug, Clone, Copy)]
enum Law {
    Gaussian,
    Skewed,
    HeavyTailed,
}

impl Law {
    fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Self::Gaussian => stream.normal(),
            Self::Skewed => -stream.uniform().ln() - 1.0,
            // Student's t with 8 degrees of freedom: chi^2_8 / 8 as a sum of four exponentials.
            Self::HeavyTailed => {
                let chi: f64 = (0..4).map(|_| -2.0 * stream.uniform().ln()).sum();
                stream.normal() * (6.0 / chi).sqrt()
            }
        }
    }

    fn rows(self, seed: u64, n: usize) -> Array2<f64> {
        let mut stream = Stream(seed.wrapping_mul(0xD134_2543_DE82_EF95));
        Array2::from_shape_fn((n, DIM), |(_, j)| self.draw(&mut stream) * scale(j))
    }
}

fn scale(j: usize) -> f64 {
    1.0 / (1.0 + 0.2 * j as f64)
}

fn main() -> Result<(), Box<dyn Error>> {
    let replications: u64 = std::env::args().nth(1).map_or(Ok(500), |a| a.parse())?;
    // Off by 0.3 in every mean and half as wide again, so that the distance is known: sum of both squares.
    let mean = Array1::from_elem(DIM, 0.3);
    let covariance = Array2::from_diag(&Array1::from_shape_fn(DIM, |j| (1.5 * scale(j)).powi(2)));
    let reference = Reference::new(Gaussian::new(mean, covariance, None)?)?;
    let truth: f64 = (0..DIM).map(|j| 0.09 + (0.5 * scale(j)).powi(2)).sum();
    for law in [Law::Gaussian, Law::Skewed, Law::HeavyTailed] {
        let (mut covered, mut paired, mut unpaired, mut filtered) = (0, 0, 0, 0);
        for replication in 0..replications {
            let a = law.rows(2 * replication + 1, ROWS);
            let b = law.rows(2 * replication + 2, ROWS);
            let options = EstimateOptions::default();
            let (first, second) =
                (reference.estimate(&a, &options)?, reference.estimate(&b, &options)?);
            let (low, high) = first.interval(0.95)?;
            covered += u32::from(low <= truth && truth <= high);
            unpaired += u32::from(compare_unpaired(&first, &second)?.p < 0.05);
            // Two samples that share every second feature: equal laws, dependent rows.
            let mut c = a.clone();
            for j in (0..DIM).step_by(2) {
                c.column_mut(j).assign(&b.column(j));
            }
            let third = reference.estimate(&c, &options)?;
            paired += u32::from(compare_paired(&first, &third)?.p < 0.05);
            let pool = a.slice(ndarray::s![..120, ..]).to_owned();
            let study = FilterStudy::new(&reference, &pool)?;
            let mut stream = Stream(replication ^ 0x5DEE_CE66);
            let scores: Vec<f64> = (0..120).map(|_| stream.uniform()).collect();
            let null = study.random_null(100, 99, replication)?;
            filtered += u32::from(study.evaluate(&scores, &null)?.p_lowest <= 0.05);
        }
        let share = |count: u32| f64::from(count) / replications as f64;
        println!(
            "{{\"law\": \"{law:?}\", \"replications\": {replications}, \"coverage_95\": {:.4}, \
             \"paired_type_1\": {:.4}, \"unpaired_type_1\": {:.4}, \"filter_type_1\": {:.4}}}",
            share(covered),
            share(paired),
            share(unpaired),
            share(filtered)
        );
    }
    Ok(())
}
