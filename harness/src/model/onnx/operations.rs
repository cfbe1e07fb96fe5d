//! Operations of a graph for each image: counted once a graph, kept in the cache beside derived graphs.

use std::path::Path;

use super::derive::{cache_failure, derived_folder};
use super::extractor::network_path;
use super::options::RuntimeOptions;
use super::runner;
use crate::canonical::sha256_hex;
use crate::config::ExtractorYaml;
use crate::graph::cache::PASS_VERSION;
use crate::graph::flops::{ImageWork, per_image};
use crate::graph::{Model, Names, at_size};
use crate::model::ModelError;
use crate::store::publish;

/// A graph whose operations are counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its digest.
    pub content: &'a str,
    /// Axes of its image input behind the batch, in the order of the graph: they fix what it leaves open.
    pub axes: [usize; 3],
}

/// Operations of one image, as [`per_image`] counts them; else why they are not known.
///
/// # Errors
/// [`ModelError::Runtime`] where the runtime or the cache folder cannot be had.
pub fn image_work(
    graph: Counted<'_>,
    names: Names<'_>,
    options: &RuntimeOptions,
) -> Result<Result<ImageWork, String>, ModelError> {
    let Counted { path, content, axes } = graph;
    let folder = derived_folder()?;
    let what =
        format!("operations {PASS_VERSION} {content} {axes:?} {:?} {:?}", names.x, names.output);
    let file = folder.join(format!("{}.operations", sha256_hex(what.as_bytes())));
    if let Some(known) = std::fs::read_to_string(&file).ok().and_then(|text| parsed(&text)) {
        return Ok(Ok(known));
    }
    let runner = runner::of(options)?;
    let counted = Model::read(path).and_then(|model| {
        let inputs = model.inputs();
        let first = inputs.first().map_or("", |port| port.name.as_str());
        let x = names.x.unwrap_or(first).to_owned();
        per_image(&at_size(model, &x, &axes)?, Names { x: Some(&x), ..names }, &runner)
    });
    let work = match counted {
        Ok(work) => work,
        Err(error) => return Ok(Err(format!("operations are not known: {error}"))),
    };
    let failed = |error| cache_failure(&file, &error);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    publish(&file, written(&work).as_bytes()).map_err(failed)?;
    Ok(Ok(work))
}

/// Operations of the features of one image; else why they are not known.
///
/// # Errors
/// As [`image_work`], and [`ModelError::Bundle`] for a description that is wrong.
pub fn extractor_operations(
    description: &Path,
    options: &RuntimeOptions,
) -> Result<Result<u64, String>, ModelError> {
    let yaml = ExtractorYaml::read(description).map_err(|error| ModelError::Bundle {
        path: description.display().to_string(),
        message: error.to_string(),
    })?;
    let (path, side) = (network_path(&yaml)?, yaml.input.size);
    let counted = Counted { path: &path, content: &yaml.file.sha256, axes: [3, side, side] };
    let names = Names { x: Some(&yaml.input.name), output: Some(&yaml.output.name) };
    Ok(image_work(counted, names, options)?.map(|work| work.forward))
}

fn written(work: &ImageWork) -> String {
    let axes: Vec<String> = work.output.iter().map(usize::to_string).collect();
    format!("{} {} {}\n", work.forward, work.reverse, axes.join(" "))
}

fn parsed(text: &str) -> Option<ImageWork> {
    let mut words = text.split_whitespace();
    let mut next = || words.next()?.parse().ok();
    let (forward, reverse) = (next()?, next()?);
    let output = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some(ImageWork { forward, reverse, output })
}

#[cfg(test)]
mod tests {
    use super::{parsed, written};
    use crate::graph::flops::ImageWork;

    #[test]
    fn what_is_kept_reads_back_and_anything_else_is_counted_again() {
        let work = ImageWork { forward: 1 << 40, reverse: 7, output: vec![3, 256, 256] };
        assert_eq!(parsed(&written(&work)), Some(work));
        for damaged in ["", "12", "12 x 3", "1 2 3 x"] {
            assert_eq!(parsed(damaged), None, "{damaged}");
        }
    }
}
