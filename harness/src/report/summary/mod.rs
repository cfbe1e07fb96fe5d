//! One page of verdicts: `dubench summary`.
//!
//! Every claim of the paper stands in a row of its own: the published number, ours with its error, and what follows. What a
//! claim is, and which number answers it, is data ([`Claims`]); numbers come from one lazy scan over the results of a
//! scale.

mod before;
mod folder;
mod html;
mod judge;
mod line;
mod lookup;
mod markdown;

use std::path::PathBuf;

pub use before::Before;
pub use folder::ResultFolder;
pub use judge::{LEVEL, Measured, P, Verdict, judge};
pub use line::{Line, Quote};

use super::{Artefact, ReportError};
use crate::config::published::claims::Claims;

/// The page as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// `arXiv:2412.00205v1`.
    pub paper: String,
    /// `mini`.
    pub scale: String,
    /// One a claim and row of the table that it quotes, in the order of the file.
    pub lines: Vec<Line>,
    /// Results of the scale, by name.
    pub results: Vec<ResultFolder>,
    /// Other results that these are set beside.
    pub before: Option<Before>,
}

/// Holds every claim against the `metrics.parquet` of the scale's results.
///
/// # Errors
/// [`ReportError::Column`] for a claim that names another column than [`super::collect::WORDS`], [`ReportError::Value`] for
/// one that several rows answer, [`ReportError::Store`] for a file that is damaged or of another version.
pub fn summarise(
    claims: &Claims,
    scale: &str,
    results: Vec<ResultFolder>,
) -> Result<Summary, ReportError> {
    let files: Vec<PathBuf> = results.iter().map(|result| result.metrics.clone()).collect();
    let rows = lookup::Rows::read(&files, scale)?;
    let mut lines = Vec::new();
    for claim in &claims.claims {
        lines.extend(line::lines(claims, claim, &rows)?);
    }
    let (paper, scale) = (claims.paper.clone(), scale.to_owned());
    Ok(Summary { paper, scale, lines, results, before: None })
}

impl Summary {
    /// `summary.md` and `summary.html`; of another scale than `mini`, `summary-SCALE.md` and `summary-SCALE.html`. `up` leads
    /// from the folder that holds them to the folder of the results: the empty text where it is the same.
    pub fn files(&self, up: &str) -> Vec<Artefact> {
        let text = Artefact {
            name: format!("{}.md", self.stem()),
            bytes: markdown::page(self, up).into_bytes(),
        };
        let html = Artefact {
            name: format!("{}.html", self.stem()),
            bytes: html::page(self, up).into_bytes(),
        };
        vec![text, html]
    }

    /// Name of the files without its ending.
    fn stem(&self) -> String {
        if self.scale == "mini" { "summary".to_owned() } else { format!("summary-{}", self.scale) }
    }

    /// How many claims have a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.lines.iter().filter(|line| line.verdict == verdict).count()
    }

    /// `holds: 3, does not hold: 17, ...`: verdicts that some claim has.
    pub fn counts(&self) -> String {
        let parts = Verdict::ALL.iter().filter_map(|verdict| match self.count(*verdict) {
            0 => None,
            n => Some(format!("{}: {n}", verdict.label())),
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Headings in the order of the page, with their lines.
    fn groups(&self) -> Vec<(&str, Vec<&Line>)> {
        let mut groups: Vec<(&str, Vec<&Line>)> = Vec::new();
        for line in &self.lines {
            match groups.iter_mut().find(|(name, _)| *name == line.group) {
                Some((_, lines)) => lines.push(line),
                None => groups.push((&line.group, vec![line])),
            }
        }
        groups
    }

    /// What a reader has to know before the first row.
    fn lead(&self) -> Vec<String> {
        let models: std::collections::BTreeSet<&str> =
            self.lines.iter().filter_map(|line| line.model.as_deref()).collect();
        let models: Vec<String> = models.iter().map(|name| format!("`{name}`")).collect();
        let tested = self.lines.iter().filter(|line| line.verdict.is_tested()).count();
        vec![
            format!(
                "Every claim of {} beside what this repository measures at scale `{}` on {}. {} rows; {}.",
                self.paper,
                self.scale,
                if models.is_empty() { "no model yet".to_owned() } else { models.join(", ") },
                self.lines.len(),
                self.counts()
            ),
            format!(
                "A claim holds, or does not, where a p adjusted by Holm's method is below {LEVEL}, or, where there is none, where \
                 the 95 % interval of the number lies on one side of what is claimed. Anything else is within noise. {tested} \
                 claims are tested, each at {LEVEL}; p is adjusted within its own table. A verdict is about our model and our \
                 number of images, not about the published ones."
            ),
            "Nothing here is typed: `dubench summary` writes the page from `metrics.parquet` of every result and from \
             `experiments/published/`."
                .to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests;
