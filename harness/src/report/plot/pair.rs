//! An image and its map, as two small files that a page lays over each other.

use image::RgbImage;

use super::png::smallest;
use crate::report::{Artefact, ReportError};

/// `plots/NAME-image.png` and `plots/NAME-map.png`, pixel by pixel: the page of verdicts shows the map where the pointer is.
///
/// # Errors
/// [`ReportError::Plot`] where encoding fails.
///
/// # Examples
/// ```
/// use dubench::report::plot::pair;
/// use image::{Rgb, RgbImage};
///
/// let grey = |level: u8| RgbImage::from_pixel(2, 2, Rgb([level; 3]));
/// let files = pair("sample_var-1", &grey(200), &grey(10)).unwrap();
/// assert_eq!(files[1].name, "plots/sample_var-1-map.png");
/// assert_eq!(image::load_from_memory(&files[0].bytes).unwrap().to_rgb8(), grey(200));
/// ```
pub fn pair(name: &str, image: &RgbImage, map: &RgbImage) -> Result<[Artefact; 2], ReportError> {
    let file = |what: &str, pixels: &RgbImage| -> Result<Artefact, ReportError> {
        let name = format!("plots/{name}-{what}.png");
        let bytes =
            smallest(pixels).map_err(|cause| ReportError::Plot { name: name.clone(), cause })?;
        Ok(Artefact { name, bytes })
    };
    Ok([file("image", image)?, file("map", map)?])
}
