//! A [`Document`] as LaTeX tables in the style of `booktabs`, to be read by `\input`.

use super::document::{Align, Cell, Document, Grid, Section};

/// One float a section.
pub fn write(document: &Document) -> String {
    let mut out = format!(
        "% {}\n% Needs \\usepackage{{booktabs}} and, for wide tables, \\usepackage{{adjustbox}}.\n",
        document.title.replace('\n', " ")
    );
    for (at, section) in document.sections.iter().enumerate() {
        let lead = if at == 0 { document.lead.as_slice() } else { &[] };
        out.push('\n');
        out.push_str(&float(section, lead));
    }
    out
}

fn float(section: &Section, lead: &[String]) -> String {
    let mut caption = escape(&section.heading);
    caption.push('.');
    for sentence in lead {
        caption.push(' ');
        caption.push_str(&escape(sentence));
    }
    let mut lines = vec![
        "\\begin{table}[htbp]".to_owned(),
        "\\centering\\small\\setlength{\\tabcolsep}{4pt}".to_owned(),
        format!("\\caption{{{caption}}}"),
        "\\begin{adjustbox}{max width=\\textwidth}".to_owned(),
    ];
    lines.extend(tabular(&section.grid));
    lines.push("\\end{adjustbox}".to_owned());
    lines.extend(below(section));
    lines.push("\\end{table}".to_owned());
    lines.join("\n") + "\n"
}

fn tabular(grid: &Grid) -> Vec<String> {
    let align: String = grid
        .columns
        .iter()
        .map(|column| match column.align {
            Align::Left => "l",
            Align::Right => "r",
            Align::Wrapped => "p{0.45\\textwidth}",
        })
        .collect();
    let line = |cells: Vec<String>| format!("{} \\\\", cells.join(" & "));
    let mut lines = vec![
        format!("\\begin{{tabular}}{{{align}}}"),
        "\\toprule".to_owned(),
        line(grid.columns.iter().map(|column| escape(&column.heading)).collect()),
        "\\midrule".to_owned(),
    ];
    for row in &grid.rows {
        if row.starts_group {
            lines.push("\\midrule".to_owned());
        }
        lines.push(line(row.cells.iter().map(cell).collect()));
    }
    lines.push("\\bottomrule".to_owned());
    lines.push("\\end{tabular}".to_owned());
    lines
}

fn below(section: &Section) -> Vec<String> {
    let notes = section
        .grid
        .notes
        .iter()
        .enumerate()
        .map(|(at, note)| format!("\\par\\textsuperscript{{{}}}~{}", at + 1, escape(note)));
    let remarks = section.remarks.iter().map(|remark| format!("\\par {}", escape(remark)));
    let mut lines: Vec<String> = notes.chain(remarks).collect();
    if !lines.is_empty() {
        lines.insert(0, "\\par\\smallskip\\begin{minipage}{\\textwidth}\\footnotesize".to_owned());
        lines.push("\\end{minipage}".to_owned());
    }
    lines
}

fn cell(cell: &Cell) -> String {
    let text = escape(&cell.text);
    match cell.note {
        Some(note) => format!("{text}\\textsuperscript{{{}}}", note + 1),
        None => text,
    }
}

/// Escapes the ten special characters and writes the symbols of our tables as commands, so that the file
/// compiles with any engine. Text in backticks becomes `\texttt`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '`' => {
                out.push_str(if in_code { "}" } else { "\\texttt{" });
                in_code = !in_code;
            }
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '\n' => out.push(' '),
            other => match symbol(other) {
                Some(command) => out.push_str(command),
                None => out.push(other),
            },
        }
    }
    if in_code {
        out.push('}');
    }
    out.replace("}$$^{", "")
}

fn symbol(c: char) -> Option<&'static str> {
    Some(match c {
        '±' => "$\\pm$",
        '−' => "$-$",
        '–' => "--",
        '∞' => "$\\infty$",
        'Δ' => "$\\Delta$",
        'ε' => "$\\varepsilon$",
        'ρ' => "$\\rho$",
        '×' => "$\\times$",
        '≤' => "$\\leq$",
        '≥' => "$\\geq$",
        '<' => "$<$",
        '>' => "$>$",
        '*' => "$^{*}$",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_compile() {
        assert_eq!(escape("50% of a_b & #3"), "50\\% of a\\_b \\& \\#3");
        assert_eq!(escape("−0.08 ± 0.11"), "$-$0.08 $\\pm$ 0.11");
        assert_eq!(escape("better ***"), "better $^{***}$");
        assert_eq!(escape("`sample_var`"), "\\texttt{sample\\_var}");
    }
}
