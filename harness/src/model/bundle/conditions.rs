//! What a bundle conditions its network on: tensors from its files, and what stands for none in guidance.

use std::path::Path;

use ndarray::ArrayD;

use super::files;
use crate::config::model_yaml::{MODEL_FILE, ModelYaml};
use crate::config::{CfgYaml, NullYaml};
use crate::model::ModelError;
use crate::model::onnx::{ConditionTensor, NullClass};
use crate::store::arrays;

/// Tensors and nulls of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conditioned {
    pub(super) tensors: Vec<ConditionTensor>,
    pub(super) null_class: Option<NullClass>,
}

impl Conditioned {
    /// Reads what `model` names, with the null of its `cfg`: that of the class, or of every tensor that has none of its own.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for files that are no arrays, and for a null that is not of the network's kind.
    pub(super) fn read(folder: &Path, model: &ModelYaml) -> Result<Self, ModelError> {
        let null = model.cfg.as_ref().and_then(|cfg| cfg.null.as_ref());
        let (of_class, of_tensors) =
            if model.task.classes().is_some() { (null, None) } else { (None, null) };
        let null_class = of_class.map(|null| null_class(folder, null)).transpose()?;
        if of_tensors.is_some_and(|null| null.label.is_some()) {
            let message = "cfg.null: is a class, which this network does not take: write {file: NAME.npy} or {zeros: true}";
            return Err(fault(folder, message.to_owned()));
        }
        let mut tensors = Vec::new();
        for (input, condition) in &model.conditions {
            let values = tensor(folder, model, &condition.file)?;
            let null = match condition.null.as_ref().or(of_tensors) {
                None => None,
                Some(NullYaml { file: Some(file), .. }) => Some(tensor(folder, model, file)?),
                Some(_) => Some(zeros_like(&values)),
            };
            tensors.push(ConditionTensor { input: input.clone(), values: values.into(), null });
        }
        Ok(Self { tensors, null_class })
    }

    /// The scale of `cfg`, where the null has any weight.
    ///
    /// # Errors
    /// [`ModelError::Bundle`] for guidance of a network that has no condition, or of which nothing stands for none.
    pub(super) fn scale(&self, folder: &Path, cfg: &CfgYaml) -> Result<Option<f64>, ModelError> {
        #[expect(clippy::float_cmp, reason = "a scale of 1 is written as 1")]
        let Some(scale) = cfg.scale.filter(|scale| *scale != 1.0) else { return Ok(None) };
        if self.null_class.is_some() || self.tensors.iter().any(|tensor| tensor.null.is_some()) {
            return Ok(Some(scale));
        }
        let message = format!(
            "cfg.scale: is {scale}, and nothing stands for no condition: write cfg.null ({{label: CLASS}}, {{file: NAME.npy}} or {{zeros: true}}) for a network with classes or conditions, or leave cfg out"
        );
        Err(fault(folder, message))
    }
}

fn null_class(folder: &Path, null: &NullYaml) -> Result<NullClass, ModelError> {
    match null {
        NullYaml { label: Some(label), .. } => Ok(NullClass::Label(*label)),
        NullYaml { file: Some(file), .. } => {
            let message = format!(
                "cfg.null: names `{file}`, and the network takes classes: write {{label: CLASS}}, or {{zeros: true}} where they are one-hot"
            );
            Err(fault(folder, message))
        }
        NullYaml { .. } => Ok(NullClass::Zeros),
    }
}

/// One row of zeros of the shape of `values`.
fn zeros_like(values: &ArrayD<f32>) -> ArrayD<f32> {
    let mut shape = values.shape().to_vec();
    if let Some(rows) = shape.first_mut() {
        *rows = 1;
    }
    ArrayD::zeros(shape)
}

/// An array of the bundle in single precision.
fn tensor(folder: &Path, model: &ModelYaml, file: &str) -> Result<ArrayD<f32>, ModelError> {
    let path = folder.join(file);
    if !model.files.contains_key(file) {
        let message = "has no entry under files of model.yaml: add its sha256 and bytes";
        return Err(files::fault(&path, message.to_owned()));
    }
    let loaded = arrays::load(&path, &[]).map_err(|error| {
        let (text, prefix) = (error.to_string(), format!("{}: ", path.display()));
        files::fault(&path, text.strip_prefix(&prefix).unwrap_or(&text).to_owned())
    })?;
    let values = loaded.into_f32();
    if values.ndim() == 0 || values.shape()[0] == 0 {
        let shape = values.shape().to_vec();
        return Err(files::fault(
            &path,
            format!("has shape {shape:?}, expected [1, ..] or [n, ..]"),
        ));
    }
    Ok(values)
}

fn fault(folder: &Path, message: String) -> ModelError {
    files::fault(&folder.join(MODEL_FILE), message)
}
