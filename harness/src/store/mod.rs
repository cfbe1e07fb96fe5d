//! Parts, manifests, sidecars: the only writer of data files and the only door to `arrow` and `parquet`.

pub mod records;
pub mod publish;

pub use publish::publish;
