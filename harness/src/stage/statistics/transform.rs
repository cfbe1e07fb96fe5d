//! What becomes of a photograph on its way to the size of a network.

use std::fmt;
use std::str::FromStr;

use dubench_metrics::MetricError;
use dubench_metrics::resize::{Filter, adm_center_crop, edm_center_crop, pillow_u8};
use ndarray::{Array3, ArrayView3};

/// How an image is brought to `size x size`. Each is that of a tool, to the byte (`metrics/tests/transforms.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Recipe.
    pub recipe: Recipe,
    /// Height and width of the result.
    pub size: usize,
}

/// Recipe of a transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// `adm-crop`: halve by box while the shorter side is at least `2 size`, cubic, centre: what ADM and U-ViT were trained
    /// on, and what the statistics of guided-diffusion are of.
    AdmCrop,
    /// `edm-crop`: the centred square, then Lanczos: the data set tool of EDM with `--transform=center-crop`.
    EdmCrop,
    /// `box-squash`: the whole image by the box filter, aspect ratio lost: downsampled `ImageNet`.
    BoxSquash,
    /// `lanczos-squash`: the whole image by Lanczos: the data set tool of EDM without a crop.
    LanczosSquash,
}

/// Largest side: an image of it has 3 GB, and a slip of the finger more.
const MAX_SIZE: usize = 1 << 15;

impl Recipe {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AdmCrop, Self::EdmCrop, Self::BoxSquash, Self::LanczosSquash];

    /// Name on command lines and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdmCrop => "adm-crop",
            Self::EdmCrop => "edm-crop",
            Self::BoxSquash => "box-squash",
            Self::LanczosSquash => "lanczos-squash",
        }
    }
}

impl Transform {
    /// The image `[h, w, c]` at `[size, size, c]`.
    ///
    /// # Errors
    /// [`MetricError::OutOfRange`] for an image without pixels.
    pub fn apply(&self, image: ArrayView3<'_, u8>) -> Result<Array3<u8>, MetricError> {
        let side = (self.size, self.size);
        match self.recipe {
            Recipe::AdmCrop => adm_center_crop(image, self.size),
            Recipe::EdmCrop => edm_center_crop(image, self.size),
            Recipe::BoxSquash => pillow_u8(image, side, Filter::Box),
            Recipe::LanczosSquash => pillow_u8(image, side, Filter::Lanczos),
        }
    }

    /// Splits `PATH@RECIPE:SIZE`. What follows an `@` and begins with no recipe belongs to the path.
    ///
    /// # Errors
    /// What is wrong with the size behind the name of a recipe.
    ///
    /// # Examples
    /// ```
    /// use dubench::stage::statistics::transform::Transform;
    ///
    /// let (path, transform) = Transform::split("imagenet/train@adm-crop:64")?;
    /// assert_eq!((path, transform.unwrap().to_string().as_str()), ("imagenet/train", "adm-crop:64"));
    /// assert_eq!(Transform::split("me@home/images")?, ("me@home/images", None));
    /// assert!(Transform::split("imagenet/train@adm-crop:big").is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn split(dataset: &str) -> Result<(&str, Option<Self>), String> {
        let Some((path, rest)) = dataset.rsplit_once('@') else { return Ok((dataset, None)) };
        let name = rest.split_once(':').map_or(rest, |(name, _)| name);
        if !Recipe::ALL.iter().any(|recipe| recipe.name() == name) {
            return Ok((dataset, None));
        }
        Ok((path, Some(rest.parse()?)))
    }
}

impl FromStr for Transform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            let names = Recipe::ALL.map(Recipe::name).join(", ");
            format!("{text:?}: expected RECIPE:SIZE with one of {names}, as adm-crop:64")
        };
        let (name, size) = text.split_once(':').ok_or_else(expected)?;
        let recipe = Recipe::ALL.into_iter().find(|recipe| recipe.name() == name);
        let size = size.parse().ok().filter(|size| (1..=MAX_SIZE).contains(size));
        Ok(Self { recipe: recipe.ok_or_else(expected)?, size: size.ok_or_else(expected)? })
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.recipe.name(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_read_back_and_makes_a_square() {
        let image = Array3::from_shape_fn((9, 23, 3), |(y, x, c)| {
            u8::try_from((y * 20 + x * 3 + c) % 256).unwrap()
        });
        for recipe in Recipe::ALL {
            let transform = Transform { recipe, size: 5 };
            assert_eq!(transform.to_string().parse(), Ok(transform));
            assert_eq!(transform.apply(image.view()).unwrap().dim(), (5, 5, 3));
        }
    }

    #[test]
    fn sizes_that_are_none_are_refused_and_paths_are_left_alone() {
        for wrong in ["adm-crop", "adm-crop:", "adm-crop:0", "adm-crop:64x64", "adm-crop:99999999"]
        {
            let message = Transform::split(&format!("a@{wrong}")).unwrap_err();
            assert!(message.contains("expected RECIPE:SIZE"), "{message}");
        }
        for path in ["a@b", "a@adm-crops:64", "plain"] {
            assert_eq!(Transform::split(path), Ok((path, None)));
        }
        assert_eq!(Transform::split("a@b@box-squash:8").unwrap().0, "a@b");
    }
}
