//! The page for a browser: one file with its style and script, tables that sort, and plots beside it. No server is needed,
//! and nothing is fetched from anywhere else.

use std::fmt::Write as _;

use super::before::{Before, COLUMNS, cells};
use super::markdown::title;
use super::{Line, ResultFolder, Summary};
use crate::report::document::Align;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const HEADS: [(&str, &str); 9] = [
    ("Source", "text"),
    ("Claim", "text"),
    ("Published for", "text"),
    ("Published", "number"),
    ("Ours ± SE", "number"),
    ("n", "number"),
    ("p, adjusted", "number"),
    ("Verdict", "text"),
    ("What is measured; why not", "text"),
];

/// `summary.html`.
pub(super) fn page(summary: &Summary, up: &str) -> String {
    let title = escape(&title(summary));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    );
    for sentence in summary.lead() {
        line(&mut out, format_args!("<p>{}</p>", marked(&sentence)));
    }
    filters(&mut out, summary);
    for (name, lines) in summary.groups() {
        table(&mut out, name, &lines);
    }
    if let Some(before) = &summary.before {
        changed(&mut out, before, summary);
    }
    out.push_str("<h2>Results</h2>\n");
    for result in &summary.results {
        let folder = format!("{up}{}/{}", result.name, summary.scale);
        section(&mut out, result, &folder);
    }
    let _ = write!(out, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

/// Appends a line. Writing into a text never fails.
fn line(out: &mut String, words: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(words);
    out.push('\n');
}

/// One button a verdict that some claim has.
fn filters(out: &mut String, summary: &Summary) {
    out.push_str("<p class=\"filters\">Show ");
    for verdict in super::Verdict::ALL {
        let n = summary.count(verdict);
        if n > 0 {
            let label = verdict.label();
            let _ = write!(
                out,
                "<label><input type=\"checkbox\" value=\"{label}\" checked> {label} ({n})</label> "
            );
        }
    }
    out.push_str("</p>\n");
}

/// Buttons that sort by their column, of numbers or of text.
fn heads<const N: usize>(out: &mut String, columns: [(&str, &str); N]) {
    for (head, kind) in columns {
        line(
            out,
            format_args!("<th data-kind=\"{kind}\"><button type=\"button\">{head}</button></th>"),
        );
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

fn table(out: &mut String, name: &str, lines: &[&Line]) {
    line(out, format_args!("<h2>{}</h2>\n<table>\n<thead><tr>", escape(name)));
    heads(out, HEADS);
    for one in lines {
        row(out, one);
    }
    out.push_str("</tbody>\n</table>\n");
}

/// Verdicts beside those of other results.
fn changed(out: &mut String, before: &Before, summary: &Summary) {
    let changes = before.changes(summary);
    line(out, format_args!("<h2>{}</h2>", escape(&before.heading())));
    line(out, format_args!("<p>{}</p>\n<table>\n<thead><tr>", marked(&before.remark(&changes))));
    let kind = |align| if align == Align::Right { "number" } else { "text" };
    heads(out, COLUMNS.map(|(head, align)| (head, kind(align))));
    for change in &changes {
        let [then, now] = [change.before, change.now].map(|one| one.measured);
        let n = |of: Option<super::Measured>| of.and_then(|one| one.n).map(|n| n as f64);
        let value = |of: Option<super::Measured>| of.map(|one| one.value);
        let keys = [None, None, None, value(then), n(then), value(now), n(now), None, None];
        out.push_str("<tr>");
        for ((text, key), (_, align)) in cells(change).iter().zip(keys).zip(COLUMNS) {
            let class = if align == Align::Right { " class=\"number\"" } else { "" };
            let key = key.map_or(String::new(), |value| format!(" data-sort=\"{value:e}\""));
            line(out, format_args!("<td{class}{key}>{}</td>", marked(text)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n");
}

fn row(out: &mut String, one: &Line) {
    let label = one.verdict.label();
    line(out, format_args!("<tr id=\"{}\" data-verdict=\"{label}\">", escape(&anchor(one))));
    for text in [&one.source, &one.says, &one.setting] {
        line(out, format_args!("<td>{}</td>", marked(text)));
    }
    let measured = one.measured;
    let numbers = [
        (one.quoted.text.clone(), one.quoted.value),
        (one.value(), measured.map(|measured| measured.value)),
        (one.n(), measured.and_then(|measured| measured.n).map(|n| n as f64)),
        (one.p(), measured.and_then(|measured| measured.p).map(|p| p.value)),
    ];
    for (text, value) in numbers {
        let key = value.map_or(String::new(), |value| format!(" data-sort=\"{value:e}\""));
        let class = if value.is_none() && !text.is_empty() { "words" } else { "number" };
        line(out, format_args!("<td class=\"{class}\"{key}>{}</td>", escape(&text)));
    }
    let class = label.replace(' ', "-");
    line(out, format_args!("<td class=\"verdict {class}\">{label}</td>"));
    let from = one.experiment.as_ref().map(|name| format!("`{name}`: {}", one.what));
    let last = from.into_iter().chain(one.why.iter().cloned()).map(|words| marked(&words));
    line(out, format_args!("<td>{}</td>\n</tr>", last.collect::<Vec<_>>().join("<br>")));
}

/// Where a line can be linked to: its claim, and the row of the table that it is about.
fn anchor(one: &Line) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let setting: String = one.setting.chars().map(plain).collect();
    if setting.is_empty() { one.id.clone() } else { format!("{}-{setting}", one.id) }
}

/// Plots of a result, and images that show their map under the pointer.
fn section(out: &mut String, result: &ResultFolder, folder: &str) {
    let (name, folder) = (escape(&result.name), escape(folder));
    let of = result
        .revision
        .as_ref()
        .map_or(String::new(), |name| format!(", revision <code>{}</code>", escape(name)));
    let table = if result.has_table {
        format!(" (<a href=\"{folder}/table.md\">table</a>{of})")
    } else {
        format!(" (no table of its own{of})")
    };
    line(
        out,
        format_args!("<details open id=\"result-{name}\">\n<summary>{name}{table}</summary>"),
    );
    out.push_str("<div class=\"plots\">\n");
    for plot in result.plots() {
        let (file, stem) =
            (escape(plot), escape(plot.rsplit_once('.').map_or(plot, |(stem, _)| stem)));
        line(
            out,
            format_args!(
                "<figure><a href=\"{folder}/plots/{file}\"><img loading=\"lazy\" src=\"{folder}/plots/{file}\" \
                 alt=\"{name}: {stem}\"></a><figcaption>{stem}</figcaption></figure>"
            ),
        );
    }
    for pair in result.pairs() {
        let (pair_name, image, map) = (escape(pair.name), escape(&pair.image), escape(&pair.map));
        line(
            out,
            format_args!(
                "<figure class=\"pair\" tabindex=\"0\"><img loading=\"lazy\" class=\"image\" src=\"{folder}/plots/{image}\" \
                 alt=\"{name}: {pair_name}, image\"><img loading=\"lazy\" class=\"map\" src=\"{folder}/plots/{map}\" \
                 alt=\"{name}: {pair_name}, map\"><figcaption>{pair_name}: image; map under the pointer</figcaption></figure>"
            ),
        );
    }
    out.push_str("</div>\n</details>\n");
}

/// Text with names in backticks as code.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(at, part)| match (at % 2, escape(part)) {
        (1, part) => format!("<code>{part}</code>"),
        (_, part) => part,
    });
    parts.collect()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_shown_as_text_and_names_are_code() {
        assert_eq!(marked("a < b & `x_t`"), "a &lt; b &amp; <code>x_t</code>");
        assert_eq!(marked("`\"><script>`"), "<code>&quot;&gt;&lt;script&gt;</code>");
    }

    #[test]
    fn style_and_script_end_where_they_should() {
        for text in [STYLE, SCRIPT] {
            assert!(!text.contains("</") && text.ends_with('\n'));
        }
    }
}
