//! A result, as the page names it.

use std::path::PathBuf;

/// One `EXPERIMENT/SCALE/` below the folder of results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultFolder {
    /// Experiment.
    pub name: String,
    /// Its numbers.
    pub metrics: PathBuf,
    /// Revision of the program that wrote it, where `run.json` is there to say so.
    pub revision: Option<String>,
    /// Names of the files below `plots/`.
    pub files: Vec<String>,
    /// Whether it has a table of its own to read.
    pub has_table: bool,
}

/// An image and the map of it: `NAME-image.png` and `NAME-map.png` below `plots/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair<'a> {
    /// `NAME`.
    pub(super) name: &'a str,
    /// File of the image.
    pub(super) image: String,
    /// File of the map.
    pub(super) map: String,
}

impl ResultFolder {
    /// Images with a map each, in order.
    pub(super) fn pairs(&self) -> Vec<Pair<'_>> {
        let names = self.files.iter().filter_map(|file| file.strip_suffix("-image.png"));
        let has_map = |name: &&str| self.files.contains(&format!("{name}-map.png"));
        let pair = |name| Pair {
            name,
            image: format!("{name}-image.png"),
            map: format!("{name}-map.png"),
        };
        names.filter(has_map).map(pair).collect()
    }

    /// Other pictures, in order. Of one name, the form of vectors goes before pixels.
    pub(super) fn plots(&self) -> Vec<&str> {
        let pairs = self.pairs();
        let in_a_pair =
            |file: &str| pairs.iter().any(|pair| pair.image == file || pair.map == file);
        let is_plot = |file: &&str| match file.strip_suffix(".png") {
            Some(stem) => !self.files.contains(&format!("{stem}.svg")) && !in_a_pair(file),
            None => file.strip_suffix(".svg").is_some(),
        };
        self.files.iter().map(String::as_str).filter(is_plot).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_go_before_pixels_pairs_stand_apart_and_other_files_are_no_plots() {
        let files =
            ["a.png", "a.svg", "b.png", "c-image.png", "c-map.png", "d-image.png", "notes.txt"];
        let folder =
            ResultFolder { files: files.map(str::to_owned).to_vec(), ..Default::default() };
        assert_eq!(folder.plots(), ["a.svg", "b.png", "d-image.png"]);
        let pairs = folder.pairs();
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].name, pairs[0].map.as_str()), ("c", "c-map.png"));
    }
}
