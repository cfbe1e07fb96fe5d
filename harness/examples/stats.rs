//! Reference statistics of a data set from the command line, until `dubench stats` is wired.

#![expect(clippy::print_stderr, reason = "a program for people, not a library")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use dubench::model::FeatureExtractor;
use dubench::model::onnx::{OnnxExtractor, RuntimeOptions, environment};
use dubench::stage::statistics::source::{Cifar10, Cifar10Split};
use dubench::stage::statistics::{ImageSource, WorkFolder, features, reduce};

#[derive(Parser)]
struct Options {
    /// `cifar10-train` or `cifar10-test`.
    #[arg(long)]
    dataset: String,
    /// Threads of the network.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Images of one call.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Description of the feature network.
    #[arg(long, default_value = "experiments/extractors/fid-inception.yaml")]
    extractor: PathBuf,
    /// Stop after this many images: for measuring.
    #[arg(long)]
    limit: Option<usize>,
    /// File to write.
    #[arg(short)]
    output: PathBuf,
    /// Work folder.
    #[arg(long)]
    work: PathBuf,
}

struct Head<'a>(&'a mut dyn ImageSource, usize);

impl ImageSource for Head<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn len(&self) -> usize {
        self.1.min(self.0.len())
    }
    fn read(
        &mut self,
        range: std::ops::Range<usize>,
    ) -> Result<ndarray::Array4<u8>, dubench::stage::statistics::StatisticsError> {
        self.0.read(range)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let cache = environment::cache_root()?;
    let split = match options.dataset.as_str() {
        "cifar10-train" => Cifar10Split::Train,
        "cifar10-test" => Cifar10Split::Test,
        other => return Err(format!("data set `{other}` is unknown").into()),
    };
    let folder = cache.join("cifar10").join("cifar-10-batches-bin");
    let mut source = Cifar10::open(&folder, split)?;
    let name = source.name().to_owned();
    let runtime = RuntimeOptions {
        threads: options.threads,
        micro_batch: options.batch,
        ..RuntimeOptions::default()
    };
    let mut extractor = OnnxExtractor::open(&options.extractor, None, &runtime)?;
    let id = extractor.id().clone();
    let made_by = format!(
        "dubench {}, ONNX Runtime {}, {}, threads {}, batch {}",
        env!("CARGO_PKG_VERSION"),
        environment::runtime(None)?.version,
        runtime.device,
        options.threads,
        options.batch
    );
    let work = WorkFolder { folder: &options.work, made_by: &made_by };
    let limit = options.limit.unwrap_or(usize::MAX);
    let mut last = Instant::now();
    let blocks = features(&mut Head(&mut source, limit), &mut extractor, &work, &mut |b| {
        let seconds = last.elapsed().as_secs_f64();
        last = Instant::now();
        eprintln!(
            "{} of {} images, {} computed in {seconds:.1} s, {:.2} images/s",
            b.n_done,
            b.n_images,
            b.n_computed,
            b.n_computed as f64 / seconds
        );
    })?;
    let mut statistics = reduce(&name, &id, &blocks)?;
    statistics.provenance.runtime = Some(environment::runtime(None)?.version.clone());
    statistics.write(&options.output)?;
    eprintln!("{} written, n = {}", options.output.display(), statistics.n);
    Ok(())
}
