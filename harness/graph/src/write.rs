//! Writing a model: whole or not at all, weights beside it where one message cannot hold them.

use std::io::Write;
use std::path::{Path, PathBuf};

use prost::Message;

use super::encode::Failure;
use super::error::GraphError;
use super::external;
use super::model::Model;
use super::proto::{LOCATION_EXTERNAL, MAX_MESSAGE_BYTES, StringStringEntryProto, TensorProto};
use super::publish;

/// Weights of fewer bytes stay inside the message even where the others go out.
const INLINE_BYTES: usize = 1024;
/// External weights start at multiples of this, so that they can be memory-mapped.
const ALIGNMENT: u16 = 4096;

/// When weights go into a file of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// Inside the model below 2 GiB, beside it above.
    #[default]
    Auto,
    /// Always in `NAME.data` beside the model.
    Beside,
}

impl Model {
    /// Writes the model to `path`, and to `path` + `.data` where weights go beside it. Both are
    /// written under temporary names, synced and renamed; the model last.
    ///
    /// # Errors
    /// [`GraphError::Write`] (disk full, folder missing or read-only), [`GraphError::ExternalData`].
    pub fn write(&self, path: &Path, weights: Weights) -> Result<(), GraphError> {
        if weights == Weights::Auto && self.encoded_bytes() <= MAX_MESSAGE_BYTES {
            return publish(path, |out| self.encode(out));
        }
        let data_path = with_suffix(path, ".data");
        let location = data_path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| file_error(path, "the name of the model must be plain text"))?
            .to_owned();
        let mut proto = self.proto.clone();
        let tensors: Vec<&mut TensorProto> =
            proto.graph.iter_mut().flat_map(|graph| &mut graph.initializer).collect();
        publish(&data_path, |out| {
            let mut end = 0;
            for tensor in tensors {
                end = self.move_out(tensor, &location, end, out)?;
            }
            Ok(())
        })?;
        let bytes = proto.encode_to_vec();
        if bytes.len() > MAX_MESSAGE_BYTES {
            let (model, limit) = (self.label().to_owned(), MAX_MESSAGE_BYTES);
            return Err(GraphError::TooLarge { model, bytes: bytes.len(), limit });
        }
        publish(path, |out| Ok(out.write_all(&bytes)?))
    }

    /// Appends one tensor's bytes to `out` and leaves its place in the message.
    fn move_out(
        &self,
        tensor: &mut TensorProto,
        location: &str,
        end: u64,
        out: &mut dyn Write,
    ) -> Result<u64, Failure> {
        let stays = !external::is_external(tensor)
            && tensor.raw_data.as_ref().is_none_or(|raw| raw.len() < INLINE_BYTES);
        if stays {
            return Ok(end);
        }
        let raw = self.raw(tensor)?;
        let offset = end.next_multiple_of(u64::from(ALIGNMENT));
        write_padded(out, offset - end, &raw)?;
        let length = raw.len();
        let entry =
            |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        tensor.external_data = vec![
            entry("location", location.to_owned()),
            entry("offset", offset.to_string()),
            entry("length", length.to_string()),
        ];
        tensor.data_location = Some(LOCATION_EXTERNAL);
        tensor.raw_data = None;
        Ok(offset + length as u64)
    }
}

fn write_padded(out: &mut dyn Write, padding: u64, raw: &[u8]) -> std::io::Result<()> {
    let zeros = [0u8; ALIGNMENT as usize];
    let padding = usize::try_from(padding).unwrap_or(0).min(zeros.len());
    out.write_all(&zeros[..padding])?;
    out.write_all(raw)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn file_error(path: &Path, message: impl Into<String>) -> GraphError {
    GraphError::File { path: path.display().to_string(), message: message.into() }
}

/// Whole or not at all, as all files of ours.
fn publish(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), GraphError> {
    let mut unread = None;
    let published = publish::publish(path, |out| match fill(out) {
        Ok(()) => Ok(()),
        Err(Failure::Write(error)) => Err(error),
        Err(Failure::Read(error)) => {
            unread = Some(error);
            Err(std::io::Error::other("external weights cannot be read"))
        }
    });
    published.map_err(|error| {
        unread.unwrap_or_else(|| {
            let (path, message) = (path.display().to_string(), error.to_string());
            GraphError::Write { path, message }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::Weights;
    use crate::model::Model;
    use crate::testing::{GraphUnderTest, random_tensor, runner};
    use crate::{Runner, Source};

    fn large() -> Model {
        GraphUnderTest::new(&[64])
            .random("w", &[64, 64])
            .node("MatMul", &["x", "w"], &["y"], vec![])
            .model()
    }

    #[test]
    fn a_written_model_reads_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        large().write(&path, Weights::Auto).unwrap();
        let back = Model::read(&path).unwrap();
        assert_eq!(back.to_bytes().unwrap(), large().to_bytes().unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn weights_beside_the_model_read_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        large().write(&path, Weights::Beside).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 1024);
        let back = Model::read(&path).unwrap();
        assert_eq!(back.initializer("w").unwrap(), large().initializer("w").unwrap());
        assert_eq!(back.to_bytes().unwrap(), large().to_bytes().unwrap());
        // And once more out of the external file.
        let again = folder.path().join("again.onnx");
        back.write(&again, Weights::Beside).unwrap();
        assert_eq!(Model::read(&again).unwrap().to_bytes().unwrap(), large().to_bytes().unwrap());
    }

    #[test]
    fn the_runtime_reads_weights_beside_the_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        large().write(&path, Weights::Beside).unwrap();
        let feeds = vec![("x".to_owned(), random_tensor(&[2, 64], 5))];
        let names = ["y".to_owned()];
        let from_file =
            runner().run(Source::File(&path), std::slice::from_ref(&feeds), &names).unwrap();
        let bytes = large().to_bytes().unwrap();
        assert_eq!(from_file, runner().run(Source::Bytes(&bytes), &[feeds], &names).unwrap());
    }

    #[test]
    fn weights_of_more_than_two_gib_are_not_put_into_one_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        large().write(&path, Weights::Beside).unwrap();
        // A sparse file: 3 GiB that take no space.
        let data =
            std::fs::OpenOptions::new().write(true).open(folder.path().join("model.onnx.data"));
        data.unwrap().set_len(3 << 30).unwrap();
        let mut model = Model::read(&path).unwrap();
        let tensor = &mut model.graph_mut().initializer[0];
        tensor.dims = vec![3 << 28];
        for entry in &mut tensor.external_data {
            if entry.key == "length" {
                entry.value = (3u64 << 30).to_string();
            }
        }
        assert!(model.encoded_bytes() > 3 << 30);
        let text = model.to_bytes().unwrap_err().to_string();
        assert!(text.contains("do not fit in one ONNX message"), "{text}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("model.onnx");
        let text = large().write(&path, Weights::Auto).unwrap_err().to_string();
        assert!(text.contains("none") && text.contains("cannot be written"), "{text}");
    }
}
