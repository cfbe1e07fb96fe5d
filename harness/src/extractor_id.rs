//! Which features these are.

/// What makes two features comparable: network, weights, preprocessing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExtractorId {
    /// Extractor name, `fid-inception` by default.
    pub name: String,
    /// SHA-256 of the network file.
    pub sha256: String,
    /// Resize and scaling convention: `pytorch-fid`, `torch-fidelity` or `clean-fid`.
    pub preprocess: String,
    /// Feature dimension.
    pub dim: usize,
    /// Output of the network that is the feature; statistics of early versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Side of the image that the network sees; statistics of early versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_size: Option<usize>,
}

impl ExtractorId {
    /// The first thing that makes features of the two not comparable: what it is, here, there. What one of them
    /// does not say is no difference, nor is the name.
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        fn known<T: PartialEq + ToString>(a: Option<&T>, b: Option<&T>) -> Option<[String; 2]> {
            let (a, b) = (a?, b?);
            (a != b).then(|| [a.to_string(), b.to_string()])
        }
        let fields = [
            ("dimension", known(Some(&self.dim), Some(&other.dim))),
            ("preprocessing", known(Some(&self.preprocess), Some(&other.preprocess))),
            ("network sha256", known(Some(&self.sha256), Some(&other.sha256))),
            ("network output", known(self.output.as_ref(), other.output.as_ref())),
            ("network input size", known(self.input_size.as_ref(), other.input_size.as_ref())),
        ];
        let first = fields.into_iter().find_map(|(field, values)| Some((field, values?)))?;
        let (field, [here, there]) = first;
        Some((field, here, there))
    }
}
