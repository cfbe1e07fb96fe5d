//! Rows of the page.

use super::judge::{LEVEL, Measured, Verdict, judge};
use super::lookup::{Found, Rows};
use crate::config::published::PublishedSetting;
use crate::config::published::claims::{Answer, Claim, Claims, Comparison, Quoted};
use crate::report::{ReportError, metric, number};

/// One claim, about one row of a table where it quotes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Id of the claim.
    pub id: String,
    /// Heading that it stands under.
    pub group: String,
    /// Where it is made: `Table 1`.
    pub source: String,
    /// The claim.
    pub says: String,
    /// Network, data set, sampler of the published row; empty for a claim of the text.
    pub setting: String,
    /// The published numbers.
    pub quoted: Quote,
    /// What was measured, in words.
    pub what: String,
    /// The number of ours.
    pub measured: Option<Measured>,
    /// Whether it is a difference, which is printed with its sign.
    pub signed: bool,
    /// Model that it was measured on.
    pub model: Option<String>,
    /// What follows.
    pub verdict: Verdict,
    /// Why not, or what must be known.
    pub why: Vec<String>,
    /// Experiment that answers it.
    pub experiment: Option<String>,
}

/// A published number as text, and what a column sorts by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quote {
    /// `13.416 against 13.494 (−0.078)`; empty where nothing is quoted.
    pub text: String,
    /// Difference, ratio or the number itself.
    pub value: Option<f64>,
}

/// The lines of a claim.
pub(super) fn lines(claims: &Claims, claim: &Claim, rows: &Rows) -> Result<Vec<Line>, ReportError> {
    let Some(settings) = claims.settings(claim) else {
        return Ok(vec![line(claim, None, claim.answers.first(), rows)?]);
    };
    let mut lines = Vec::new();
    for setting in settings {
        let own = |answer: &&Answer| answer.setting.as_ref().is_some_and(|key| key.is(setting));
        lines.push(line(claim, Some(setting), claim.answers.iter().find(own), rows)?);
    }
    Ok(lines)
}

fn line(
    claim: &Claim,
    setting: Option<&PublishedSetting>,
    answer: Option<&Answer>,
    rows: &Rows,
) -> Result<Line, ReportError> {
    let blank = Line {
        id: claim.id.clone(),
        group: claim.group.clone(),
        source: claim.source.clone(),
        says: claim.says.clone(),
        setting: setting.map(shown).unwrap_or_default(),
        quoted: quote(claim, setting),
        what: answer.map(|answer| answer.measured.clone()).unwrap_or_default(),
        measured: None,
        signed: answer.is_some_and(is_difference),
        model: None,
        verdict: Verdict::NotTestable,
        why: Vec::new(),
        experiment: answer.map(|answer| answer.experiment.clone()),
    };
    let obstacle = claim.obstacle.clone().or_else(|| setting.and_then(|row| row.obstacle.clone()));
    let obstacle = obstacle.unwrap_or_else(|| "it is not set up here".to_owned());
    let Some(answer) = answer else { return Ok(Line { why: vec![obstacle], ..blank }) };
    Ok(match rows.find(&claim.id, answer)? {
        Found::NotRun if answer.ships => Line { verdict: Verdict::NotRun, ..blank },
        Found::NotRun => Line { why: vec![obstacle], ..blank },
        Found::Nothing(why) => Line { why: vec![why], ..blank },
        Found::Number { measured, model, reason } => {
            let (verdict, why) = judge(&measured, answer.expected);
            // The remark of a row that is a difference of random subsets is in the words of what is measured.
            let why = why.into_iter().chain(reason.filter(|_| verdict == Verdict::NotTestable));
            let why = why.chain(claim.remark.clone()).collect();
            Line { measured: Some(measured), model: Some(model), verdict, why, ..blank }
        }
    })
}

fn is_difference(answer: &Answer) -> bool {
    let name = answer.row.get("metric").map_or("", String::as_str);
    name.starts_with(metric::DELTA) || name.ends_with("_gain")
}

/// `ADM 64, ImageNet 64, DDIM`.
fn shown(setting: &PublishedSetting) -> String {
    let parts = [Some(&setting.network), Some(&setting.dataset), setting.sampler.as_ref()];
    parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
}

fn quote(claim: &Claim, setting: Option<&PublishedSetting>) -> Quote {
    match (&claim.quoted, setting) {
        (Some(Quoted::Cells { metric, method, against, by, .. }), Some(setting)) => {
            let Some(value) = setting.value(metric, method) else { return Quote::default() };
            let other = against.as_ref().and_then(|name| setting.value(metric, name));
            cells((value, other), *by, decimals(setting, metric))
        }
        (Some(Quoted::Words { text }), _) => Quote { text: text.clone(), value: None },
        _ => Quote::default(),
    }
}

/// `13.416 against 13.494 (−0.078)`.
fn cells((value, other): (f64, Option<f64>), by: Comparison, decimals: usize) -> Quote {
    let text = |value: f64| number::fixed(value, decimals).unwrap_or_default();
    let Some(other) = other else { return Quote { text: text(value), value: Some(value) } };
    let (compared, shown) = match by {
        Comparison::Difference => {
            let plus = if value > other { "+" } else { "" };
            (value - other, format!("{plus}{}", text(value - other)))
        }
        Comparison::Ratio => {
            let ratio = value / other;
            (ratio, format!("× {}", number::fixed(ratio, 3).unwrap_or_default()))
        }
    };
    let text = format!("{} against {} ({shown})", text(value), text(other));
    Quote { text, value: Some(compared) }
}

/// Digits that the table prints: YAML drops the last zero of 8.50, and its neighbours tell.
fn decimals(setting: &PublishedSetting, metric: &str) -> usize {
    let values = setting.values.get(metric).into_iter().flatten();
    let shown = values.filter_map(|(_, value)| number::exact((*value)?));
    shown.map(|text| text.split_once('.').map_or(0, |(_, part)| part.len())).max().unwrap_or(0)
}

impl Line {
    /// `+1.98 ± 0.29`; empty where there is no number.
    pub(super) fn value(&self) -> String {
        let Some(measured) = self.measured else { return String::new() };
        let text = if measured.exact {
            number::exact(measured.value)
        } else if self.signed {
            number::signed_with_error(measured.value, measured.se)
        } else {
            number::with_error(measured.value, measured.se)
        };
        text.unwrap_or_default()
    }

    /// `≤ 0.0498`; empty where there is none. Next to the level of a verdict it has a digit more than in other tables.
    pub(super) fn p(&self) -> String {
        let Some(p) = self.measured.and_then(|measured| measured.p) else { return String::new() };
        if (p.value - LEVEL).abs() < 0.2 * LEVEL {
            let digits = number::significant(p.value, 3).unwrap_or_default();
            return if p.at_floor { format!("≤ {digits}") } else { digits };
        }
        let shown = if p.at_floor { number::p_at_most } else { number::p_value };
        shown(p.value).unwrap_or_default()
    }

    /// `1,707`; empty where there is none.
    pub(super) fn n(&self) -> String {
        self.measured.and_then(|measured| measured.n).map(number::count).unwrap_or_default()
    }
}
