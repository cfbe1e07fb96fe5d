//! From 8-bit images to what the Inception network reads.

use super::kernel::{Filter, Taps, pillow_taps};
use super::linear::{BilinearPlan, Grid};
use super::separable::separable_f32;
use crate::error::{MetricError, Result};
use ndarray::{Array4, ArrayView2, ArrayView4};
use rayon::prelude::*;

/// Side of the network's input.
pub const INCEPTION_SIZE: usize = 299;

/// Order of the axes of a batch of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[n, h, w, 3]`: files, npz.
    Nhwc,
    /// `[n, 3, h, w]`: networks.
    Nchw,
}

/// The preprocessing of a tool that computes FID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Preprocess {
    /// `x / 255`, `PyTorch` bilinear, `2 x - 1`: pytorch-fid, and the paper of this project.
    PytorchFid,
    /// `TensorFlow` 1 bilinear on 0..255, `(x - 128) / 128`: torch-fidelity, EDM, the original graph.
    TorchFidelity,
    /// Pillow bicubic on 0..255, clipped, `(x - 128) / 128`: clean-fid.
    CleanFid,
}

impl Preprocess {
    /// The name by which files and command lines know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::TorchFidelity => "torch-fidelity",
            Self::CleanFid => "clean-fid",
        }
    }

    /// Resizes and scales a batch of u8 RGB images to `[n, 3, 299, 299]` f32 in [-1, 1].
    ///
    /// Images run in parallel; each is computed by one thread.
    ///
    /// # Errors
    /// [`MetricError::LengthMismatch`] unless there are three channels, [`MetricError::OutOfRange`] for images
    /// without pixels.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::resize::{Layout, Preprocess};
    /// use ndarray::Array4;
    /// let white = Array4::from_elem((2, 32, 32, 3), 255_u8);
    /// let pytorch_fid = Preprocess::PytorchFid.apply(white.view(), Layout::Nhwc)?;
    /// assert_eq!(pytorch_fid.dim(), (2, 3, 299, 299));
    /// assert_eq!(pytorch_fid[[1, 2, 298, 298]], 1.0);
    /// let torch_fidelity = Preprocess::TorchFidelity.apply(white.view(), Layout::Nhwc)?;
    /// assert_eq!(torch_fidelity[[0, 0, 0, 0]], 0.992_187_5);
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn apply(self, images: ArrayView4<'_, u8>, layout: Layout) -> Result<Array4<f32>> {
        let planes = match layout {
            Layout::Nhwc => images.permuted_axes([0, 3, 1, 2]),
            Layout::Nchw => images,
        };
        let (n, channels, height, width) = planes.dim();
        crate::error::same_length("the channel axis of the images", channels, 3)?;
        super::check_sizes((height, width), (INCEPTION_SIZE, INCEPTION_SIZE))?;
        let plan = Plan::new(self, (height, width));
        let area = INCEPTION_SIZE * INCEPTION_SIZE;
        let mut out = vec![0.0_f32; n * 3 * area];
        out.par_chunks_mut(3 * area).enumerate().for_each_init(
            Scratch::default,
            |scratch, (i, image)| {
                for (c, target) in image.chunks_exact_mut(area).enumerate() {
                    scratch.plane.clear();
                    let plane = planes.slice(ndarray::s![i, c, .., ..]);
                    scratch.plane.extend(plane.iter().map(|&v| plan.level(v)));
                    plan.resize(scratch, (height, width), target);
                }
            },
        );
        Array4::from_shape_vec((n, 3, INCEPTION_SIZE, INCEPTION_SIZE), out)
            .map_err(|e| MetricError::out_of_range("the batch", e, "[n, 3, 299, 299]"))
    }
}

/// Buffers of one thread.
#[derive(Debug, Default)]
struct Scratch {
    plane: Vec<f32>,
    stretched: Vec<f32>,
}

/// A preprocessing for one image size.
#[derive(Debug)]
enum Plan {
    PytorchFid(BilinearPlan),
    TorchFidelity(BilinearPlan),
    CleanFid { columns: Option<Vec<Taps>>, rows: Option<Vec<Taps>> },
}

impl Plan {
    fn new(preprocess: Preprocess, from: (usize, usize)) -> Self {
        let to = (INCEPTION_SIZE, INCEPTION_SIZE);
        let cubic = |side: usize| {
            (side != INCEPTION_SIZE).then(|| pillow_taps(side, INCEPTION_SIZE, Filter::Bicubic))
        };
        match preprocess {
            Preprocess::PytorchFid => {
                Self::PytorchFid(BilinearPlan::new(from, to, Grid::HalfPixel))
            }
            Preprocess::TorchFidelity => {
                Self::TorchFidelity(BilinearPlan::new(from, to, Grid::Corner))
            }
            Preprocess::CleanFid => Self::CleanFid { columns: cubic(from.1), rows: cubic(from.0) },
        }
    }

    /// An 8-bit level as the resize reads it.
    fn level(&self, value: u8) -> f32 {
        match self {
            Self::PytorchFid(_) => f32::from(value) / 255.0,
            Self::TorchFidelity(_) | Self::CleanFid { .. } => f32::from(value),
        }
    }

    fn resize(&self, scratch: &mut Scratch, from: (usize, usize), target: &mut [f32]) {
        let Scratch { plane, stretched } = scratch;
        match self {
            Self::PytorchFid(plan) => plan.apply(plane, target, stretched, |v| 2.0 * v - 1.0),
            Self::TorchFidelity(plan) => {
                plan.apply(plane, target, stretched, |v| (v - 128.0) / 128.0);
            }
            Self::CleanFid { columns, rows } => {
                let to = (INCEPTION_SIZE, INCEPTION_SIZE);
                if let Ok(plane) = ArrayView2::from_shape(from, plane) {
                    let resized = separable_f32(plane, to, columns.as_deref(), rows.as_deref());
                    for (out, v) in target.iter_mut().zip(resized.iter()) {
                        *out = (v.clamp(0.0, 255.0) - 128.0) / 128.0;
                    }
                }
            }
        }
    }
}
