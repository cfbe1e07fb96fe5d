//! Parts, manifests, sidecars: the only writer of data files and the only door to `arrow` and `parquet`.
//!
//! A file is whole or absent ([`publish()`]), its hash stands beside it ([`sidecar`]) and is checked
//! whenever it is read, and it says in its own metadata what it is and which plan it belongs to
//! ([`envelope`]).

pub mod arrays;
pub mod checked;
pub mod columns;
pub mod correlations;
pub mod curves;
pub mod digest;
mod dtype;
pub(crate) mod elements;
pub mod envelope;
pub mod error;
pub(crate) mod fault;
pub mod features;
mod guard;
pub mod laplace;
pub mod layout;
pub mod lock;
pub mod manifest;
pub mod maps;
pub mod metrics;
pub(crate) mod npy;
pub(crate) mod npz;
pub(crate) mod parquet_features;
pub(crate) mod parquet_files;
mod parquet_form;
pub mod part;
pub(crate) mod picture_table;
pub(crate) mod picture_zip;
pub mod publish;
pub mod records;
pub mod results;
pub mod samples;
pub mod sidecar;
pub mod starts;
pub mod statistics;
pub mod table;
pub mod thresholds;
pub(crate) mod trouble;

pub use envelope::{Envelope, Kind, Provenance};
pub use error::StoreError;
pub use layout::Layout;
pub use publish::{Publication, publish, publish_new, publish_with, remove};
