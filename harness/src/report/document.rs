//! A report as data, before it becomes Markdown or LaTeX. All text is plain Unicode; the writers escape it.

/// A page of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// First line.
    pub title: String,
    /// Sentences under the title.
    pub lead: Vec<String>,
    /// Tables, in reading order.
    pub sections: Vec<Section>,
}

/// One table with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What the table shows.
    pub heading: String,
    /// The table.
    pub grid: Grid,
    /// Sentences below it.
    pub remarks: Vec<String>,
}

/// A table of text cells with footnotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    /// Columns, left to right.
    pub columns: Vec<Column>,
    /// Rows, top to bottom; as many cells as columns.
    pub rows: Vec<Row>,
    /// Footnotes; cells name them by index.
    pub notes: Vec<String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub heading: String,
    /// How its cells stand.
    pub align: Align,
}

/// How the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
    /// Sentences, which LaTeX has to break into lines.
    Wrapped,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Cells, as many as columns.
    pub cells: Vec<Cell>,
    /// Whether a rule stands above the row.
    pub starts_group: bool,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Text, perhaps empty.
    pub text: String,
    /// Index of its footnote in [`Grid::notes`].
    pub note: Option<usize>,
}

impl Cell {
    /// A cell without a footnote.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), note: None }
    }
}

impl Grid {
    /// An empty table with these columns.
    pub fn with_columns(columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|(heading, align)| Column { heading: (*heading).to_owned(), align: *align })
            .collect();
        Self { columns, rows: Vec::new(), notes: Vec::new() }
    }

    /// Index of a footnote; equal sentences share one.
    pub fn note(&mut self, sentence: &str) -> usize {
        if let Some(known) = self.notes.iter().position(|note| note == sentence) {
            return known;
        }
        self.notes.push(sentence.to_owned());
        self.notes.len() - 1
    }

    /// A dash whose footnote says why there is no number.
    pub fn missing(&mut self, why: &str) -> Cell {
        Cell { text: "–".to_owned(), note: Some(self.note(why)) }
    }

    /// Appends a row.
    pub fn push(&mut self, cells: Vec<Cell>, starts_group: bool) {
        debug_assert_eq!(cells.len(), self.columns.len(), "a row has one cell a column");
        self.rows.push(Row { cells, starts_group: starts_group && !self.rows.is_empty() });
    }

    /// Removes the columns that are empty in every row.
    #[must_use]
    pub fn without_empty_columns(mut self) -> Self {
        let used: Vec<bool> = (0..self.columns.len())
            .map(|at| self.rows.iter().any(|row| !row.cells[at].text.is_empty()))
            .collect();
        let mut kept = used.iter();
        self.columns.retain(|_| *kept.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut kept = used.iter();
            row.cells.retain(|_| *kept.next().unwrap_or(&true));
        }
        self
    }
}
