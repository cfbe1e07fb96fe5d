//! What a run needs and no repository holds: data sets, the feature network, ONNX Runtime. `experiments/assets.yaml` pins each.
//!
//! Nothing here opens a connection: the environment's own clients fetch (`client`), and only bytes with the pinned hash are
//! read (`fetch`) or published (`install`). What is built from archives is built here, so that an installed program needs no
//! other one. The readers of torch files know tensors and nothing else (`torchscript`, `torch_legacy`); no name that an archive chose
//! becomes the name of a file (`tar`, `build`).

mod build;
mod cifar10;
mod client;
mod efficientnet;
mod error;
mod fetch;
mod inception;
mod install;
mod network;
mod pickle;
mod pickle_value;
mod pins;
mod source;
mod stamp;
mod tar;
mod torch_legacy;
mod torchscript;
mod wire;

pub use client::Caller;
pub use error::AssetError;
pub use install::{Installed, ensure, is_ready, verify};
pub use pins::{Asset, AssetDevice, AssetKind, AssetList, Build, Output, this_platform};
pub use source::{Layout, Source};
