//! A set of images that several workers read.

use std::ops::Range;

use ndarray::Array4;

use super::{ImageSource, StatisticsError};
use crate::model::InTurn;
use crate::units::ClassLabel;

/// A handle to a set of images that others read too; one reads at a time.
#[derive(Debug)]
pub struct SharedImages {
    source: InTurn<dyn ImageSource>,
    name: String,
    len: usize,
    notes: Vec<String>,
}

impl SharedImages {
    /// `n` handles to one set.
    pub fn share(source: Box<dyn ImageSource>, n: usize) -> Vec<Self> {
        let (name, len, notes) = (source.name().to_owned(), source.len(), source.notes());
        let handle = |source| Self { source, name: name.clone(), len, notes: notes.clone() };
        InTurn::share(source, n).into_iter().map(handle).collect()
    }
}

impl ImageSource for SharedImages {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.len
    }

    fn read(&mut self, range: Range<usize>) -> Result<Array4<u8>, StatisticsError> {
        self.source.ask(|source| source.read(range))
    }

    fn read_runs(&mut self, range: Range<usize>) -> Result<Vec<Array4<u8>>, StatisticsError> {
        self.source.ask(|source| source.read_runs(range))
    }

    fn classes(&mut self, range: Range<usize>) -> Result<Option<Vec<ClassLabel>>, StatisticsError> {
        self.source.ask(|source| source.classes(range))
    }

    /// Those that were known when it was shared: runs that share a set read no notes of it.
    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
