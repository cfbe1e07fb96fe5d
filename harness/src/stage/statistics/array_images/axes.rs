//! Which axes of an array are those of images.

use ndarray::{Array4, ShapeError};

use crate::store::npy::Header;

/// Order of the axes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    ChannelsLast,
    ChannelsFirst,
}

impl Layout {
    /// Bytes of `n` images of height `h` and width `w` as `[n, 3, h, w]`.
    pub(super) fn channels_first(
        self,
        bytes: Vec<u8>,
        [n, h, w]: [usize; 3],
    ) -> Result<Array4<u8>, ShapeError> {
        Ok(match self {
            Self::ChannelsFirst => Array4::from_shape_vec((n, 3, h, w), bytes)?,
            Self::ChannelsLast => {
                let images = Array4::from_shape_vec((n, h, w, 3), bytes)?;
                images.permuted_axes([0, 3, 1, 2]).as_standard_layout().into_owned()
            }
        })
    }
}

/// `n, h, w` and the order of the axes.
pub(super) fn image_axes(header: &Header) -> Result<([usize; 3], Layout), String> {
    const EXPECTED: &str = "expected images, u8 [n, h, w, 3] or [n, 3, h, w] in C order";
    if !header.dtype.is_u8() {
        return Err(format!("{EXPECTED}: round to 0..=255 and save with .astype('uint8')"));
    }
    if header.fortran {
        return Err(format!("it is in Fortran order, {EXPECTED}: save numpy.ascontiguousarray(a)"));
    }
    match header.shape[..] {
        [_, 3, _, 3] => Err(format!(
            "either of two axes may be the channels, {EXPECTED}: save the images as files"
        )),
        [n, h, w, 3] => Ok(([n, h, w], Layout::ChannelsLast)),
        [n, 3, h, w] => Ok(([n, h, w], Layout::ChannelsFirst)),
        [_, _, _, 1] | [_, 1, _, _] | [_, _, _] => Err(format!(
            "it has no three channels, {EXPECTED}: repeat grey levels three times, as Pillow's convert('RGB') does"
        )),
        [_, _, _, 4] | [_, 4, _, _] => Err(format!("it has an alpha channel, {EXPECTED}: drop it")),
        _ => Err(EXPECTED.to_owned()),
    }
}

/// Rows of three square planes as the images that they are; `key` is the name of the array.
pub(super) fn planes(header: &mut Header, key: &str) -> Result<(), String> {
    let side = |row: usize| (1..=row).find(|side| 3 * side * side >= row);
    match header.shape[..] {
        [n, row] => match side(row).filter(|side| 3 * side * side == row) {
            Some(side) => header.shape = vec![n, 3, side, side],
            None => {
                return Err(format!(
                    "{key} is {}: expected rows of three square planes, [n, 3 s s]",
                    header.describe()
                ));
            }
        },
        [_, _, _, _] => {}
        _ => return Err(format!("{key} is {}: expected [n, 3 s s]", header.describe())),
    }
    Ok(())
}
