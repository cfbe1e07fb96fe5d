//! A model as bytes, piece by piece: each weight goes from where it lies to where it is written.
//!
//! Why by hand? The encoder of `prost` makes one buffer of the whole message, so a network of 2 GB would be twice in
//! memory. Fields of a message may come in any order: the weights come last.

use std::io::{self, Write};

use prost::Message;
use prost::bytes::Bytes;

use super::error::GraphError;
use super::external;
use super::model::Model;
use super::proto::{GraphProto, MAX_MESSAGE_BYTES, ModelProto, TensorProto};

/// Keys of fields of bytes and messages: `field << 3 | 2`.
const GRAPH: u8 = (7 << 3) | 2;
const INITIALIZER: u8 = (5 << 3) | 2;
const RAW_DATA: u8 = (9 << 3) | 2;

/// Why bytes did not come out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// They could not be written.
    Write(io::Error),
    /// They could not be read: weights that lie outside.
    Read(GraphError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<GraphError> for Failure {
    fn from(error: GraphError) -> Self {
        Self::Read(error)
    }
}

impl Model {
    /// The model as one message, external weights included.
    ///
    /// # Errors
    /// [`GraphError::TooLarge`] from 2 GiB on, [`GraphError::ExternalData`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, GraphError> {
        let bytes = self.encoded_bytes();
        if bytes > MAX_MESSAGE_BYTES {
            let model = self.label().to_owned();
            return Err(GraphError::TooLarge { model, bytes, limit: MAX_MESSAGE_BYTES });
        }
        let mut out = Vec::with_capacity(bytes);
        match self.encode(&mut out) {
            Ok(()) => Ok(out),
            Err(Failure::Read(error)) => Err(error),
            // A vector takes what it is given.
            Err(Failure::Write(error)) => {
                Err(GraphError::Write { path: self.label().to_owned(), message: error.to_string() })
            }
        }
    }

    /// Writes the message, weights inside, wherever they lie now.
    pub(crate) fn encode(&self, out: &mut dyn Write) -> Result<(), Failure> {
        out.write_all(&ModelProto { graph: None, ..self.proto.clone() }.encode_to_vec())?;
        let graph = self.graph();
        let shell = GraphProto { initializer: Vec::new(), ..graph.clone() }.encode_to_vec();
        out.write_all(&[GRAPH])?;
        write_length(out, shell.len() + weights_len(graph))?;
        out.write_all(&shell)?;
        for tensor in &graph.initializer {
            out.write_all(&[INITIALIZER])?;
            write_length(out, tensor_len(tensor))?;
            out.write_all(&without_bytes(tensor).encode_to_vec())?;
            if bytes_len(tensor).is_some() {
                let raw = self.raw(tensor)?;
                out.write_all(&[RAW_DATA])?;
                write_length(out, raw.len())?;
                out.write_all(&raw)?;
            }
        }
        Ok(())
    }

    /// Bytes of the model with its weights inside.
    pub fn encoded_bytes(&self) -> usize {
        let graph = self.graph();
        let shell = GraphProto { initializer: Vec::new(), ..graph.clone() }.encoded_len();
        let all = framed(shell + weights_len(graph));
        all + ModelProto { graph: None, ..self.proto.clone() }.encoded_len()
    }
}

/// Key, length and content of a field.
fn framed(content: usize) -> usize {
    1 + prost::length_delimiter_len(content) + content
}

fn weights_len(graph: &GraphProto) -> usize {
    graph.initializer.iter().map(|tensor| framed(tensor_len(tensor))).sum()
}

fn tensor_len(tensor: &TensorProto) -> usize {
    without_bytes(tensor).encoded_len() + bytes_len(tensor).map_or(0, framed)
}

/// The tensor as it stands in one message, less its bytes.
fn without_bytes(tensor: &TensorProto) -> TensorProto {
    let (external_data, data_location) = if external::is_external(tensor) {
        (Vec::new(), None)
    } else {
        (tensor.external_data.clone(), tensor.data_location)
    };
    TensorProto { raw_data: None, external_data, data_location, ..tensor.clone() }
}

/// How many bytes its elements are; `None` where they are in typed fields.
fn bytes_len(tensor: &TensorProto) -> Option<usize> {
    if external::is_external(tensor) {
        return Some(external::declared_bytes(tensor).unwrap_or(0));
    }
    tensor.raw_data.as_ref().map(Bytes::len)
}

fn write_length(out: &mut dyn Write, length: usize) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(10);
    prost::encode_length_delimiter(length, &mut buffer).map_err(io::Error::other)?;
    out.write_all(&buffer)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use crate::golden::Golden;
    use crate::proto::ModelProto;

    /// The same message as the encoder of `prost` makes, fields in another order.
    #[test]
    fn a_message_in_pieces_decodes_to_the_model() {
        for name in ["ddpm_train_17", "uvit_dynamo_20"] {
            let model = Golden::read(name).model;
            let bytes = model.to_bytes().unwrap();
            assert_eq!(bytes.len(), model.encoded_bytes());
            assert_eq!(bytes.len(), model.proto.encoded_len());
            assert!(ModelProto::decode(bytes.as_slice()).unwrap() == model.proto);
        }
    }
}
