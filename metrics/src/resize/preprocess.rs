//! From 8-bit images to what the Inception network reads.

use super::kernel::{Filter, pillow_taps};
use super::linear::CornerPlan;
use super::separable::SeparablePlan;
use super::torch::HalfPixelPlan;
use crate::error::{MetricError, Result};
use ndarray::{Array4, ArrayView4, Axis, s};
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
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::resize::Preprocess;
    /// assert_eq!(Preprocess::CleanFid.name(), "clean-fid");
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid",
            Self::TorchFidelity => "torch-fidelity",
            Self::CleanFid => "clean-fid",
        }
    }

    /// Resizes and scales a batch of u8 RGB images to `[n, 3, 299, 299]` f32 in [-1, 1], bit for bit as the tool does.
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
        self.apply_to(images, layout, INCEPTION_SIZE)
    }

    /// As [`Preprocess::apply`], for networks that read another size: `[n, 3, side, side]`.
    ///
    /// # Errors
    /// As [`Preprocess::apply`], and [`MetricError::OutOfRange`] for `side = 0`.
    ///
    /// # Examples
    /// ```
    /// use dubench_metrics::resize::{Layout, Preprocess};
    /// use ndarray::Array4;
    /// let black = Array4::zeros((1, 3, 8, 8));
    /// let small = Preprocess::PytorchFid.apply_to(black.view(), Layout::Nchw, 16)?;
    /// assert_eq!(small.dim(), (1, 3, 16, 16));
    /// assert!(small.iter().all(|&v| v == -1.0));
    /// # Ok::<(), dubench_metrics::MetricError>(())
    /// ```
    pub fn apply_to(
        self,
        images: ArrayView4<'_, u8>,
        layout: Layout,
        side: usize,
    ) -> Result<Array4<f32>> {
        let planes = match layout {
            Layout::Nhwc => images.permuted_axes([0, 3, 1, 2]),
            Layout::Nchw => images,
        };
        let (n, channels, height, width) = planes.dim();
        crate::error::same_length("the channel axis of the images", channels, 3)?;
        super::check_sizes((height, width), (side, side))?;
        let plan = Plan::new(self, (height, width), side);
        let levels: Vec<f32> = (0..=u8::MAX).map(|v| plan.level(v)).collect();
        let area = side * side;
        let mut out = vec![0.0_f32; n * 3 * area];
        out.par_chunks_mut(3 * area).enumerate().for_each_init(
            Scratch::default,
            |scratch, (i, image)| {
                for (c, target) in image.chunks_exact_mut(area).enumerate() {
                    scratch.plane.clear();
                    let level = |v: &u8| levels[usize::from(*v)];
                    let image = images.index_axis(Axis(0), i);
                    match (image.to_slice(), layout) {
                        (Some(image), Layout::Nhwc) => {
                            scratch.plane.extend(image.iter().skip(c).step_by(3).map(level));
                        }
                        _ => scratch.plane.extend(planes.slice(s![i, c, .., ..]).iter().map(level)),
                    }
                    plan.resize(scratch, target);
                }
            },
        );
        Array4::from_shape_vec((n, 3, side, side), out)
            .map_err(|e| MetricError::out_of_range("the batch", e, "[n, 3, side, side]"))
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
    PytorchFid(HalfPixelPlan),
    TorchFidelity(CornerPlan),
    CleanFid(SeparablePlan),
}

impl Plan {
    fn new(preprocess: Preprocess, from: (usize, usize), side: usize) -> Self {
        let to = (side, side);
        let cubic = |from: usize| (from != side).then(|| pillow_taps(from, side, Filter::Bicubic));
        match preprocess {
            Preprocess::PytorchFid => Self::PytorchFid(HalfPixelPlan::new(from, to)),
            Preprocess::TorchFidelity => Self::TorchFidelity(CornerPlan::new(from, to)),
            Preprocess::CleanFid => {
                Self::CleanFid(SeparablePlan::new(from.1, cubic(from.1), cubic(from.0)))
            }
        }
    }

    /// An 8-bit level as the resize reads it.
    fn level(&self, value: u8) -> f32 {
        match self {
            Self::PytorchFid(_) => f32::from(value) / 255.0,
            Self::TorchFidelity(_) | Self::CleanFid(_) => f32::from(value),
        }
    }

    fn resize(&self, scratch: &mut Scratch, target: &mut [f32]) {
        let Scratch { plane, stretched } = scratch;
        match self {
            Self::PytorchFid(plan) => plan.apply(plane, target, |v| 2.0 * v - 1.0),
            Self::TorchFidelity(plan) => {
                plan.apply(plane, target, stretched, |v| (v - 128.0) / 128.0);
            }
            Self::CleanFid(plan) => {
                plan.apply(plane, target, stretched, |v| (v.clamp(0.0, 255.0) - 128.0) / 128.0);
            }
        }
    }
}
