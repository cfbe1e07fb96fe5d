//! The one font of all plots, so that they look the same on a machine without fonts.

use std::sync::OnceLock;

use plotters::style::{FontStyle, register_font};

/// Family name in plotters and in the SVG before [`super::svg`] rewrites it.
pub(super) const FAMILY: &str = "sans-serif";

const DEJAVU_SANS: &[u8] = include_bytes!("../../../assets/DejaVuSans.ttf");

/// Registers `DejaVu` Sans. Without it plotters cannot measure text.
///
/// # Errors
/// The file in the binary is no font.
pub(super) fn register() -> Result<(), String> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let is_font =
        *DONE.get_or_init(|| register_font(FAMILY, FontStyle::Normal, DEJAVU_SANS).is_ok());
    if is_font { Ok(()) } else { Err("harness/assets/DejaVuSans.ttf is no font".to_owned()) }
}
