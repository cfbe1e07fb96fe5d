//! Classes out of numbers.

use crate::store::elements::Numbers;
use crate::units::ClassLabel;

/// Numbers as classes, where all of them are whole, at least 0 and below 2^24, which every type here holds exactly.
pub(super) fn whole(numbers: &Numbers) -> Option<Vec<ClassLabel>> {
    let numbers = match numbers {
        Numbers::U8(array) => array.mapv(f64::from),
        Numbers::F32(array) => array.mapv(f64::from),
        Numbers::F64(array) => array.clone(),
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole numbers of 0 to 2^24"
    )]
    let class = |number: &f64| {
        let fits = number.fract() == 0.0 && (0.0..16_777_216.0).contains(number);
        fits.then_some(ClassLabel(*number as u32))
    };
    numbers.iter().map(class).collect()
}
