//! The one font of all plots, so that they look the same on a machine without fonts.

use std::sync::OnceLock;

use plotters::style::{FontStyle, register_font};

/// Family name in plotters and in the SVG before [`super::svg`] rewrites it.
pub(super) const FAMILY: &str = "sans-serif";

/// Measures all text and draws the text of PNG files.
const DEJAVU_SANS: &[u8] = include_bytes!("../../../assets/DejaVuSans.ttf");

/// Draws the text of SVG files, which carry it: the glyphs of [`DEJAVU_SANS`] that plots need, as WOFF 1.0. Made by
/// `scripts/golden/plot_font.py`; other characters are left to the viewer's fonts.
pub(super) const EMBEDDED: &[u8] = include_bytes!("../../../assets/DejaVuSans-plots.woff");

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

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use ab_glyph::{Font as _, FontRef};

    use super::*;
    use crate::protocol::filtering::example;
    use crate::report::plot::files;
    use crate::report::plot::sheet::Sheet;

    const SIGNS: &str = "°±²³µ·×é\u{302}–—‘’“”…→−∞≤≥ΔΣαβγδεηθλμπρστφ₀₁₂₃₄₅₆₇₈₉";

    fn word(bytes: &[u8], at: usize) -> usize {
        usize::try_from(u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
    }

    /// The font file of a WOFF 1.0 file: a header of 44 bytes, then for each table tag, offset, length as stored, length,
    /// checksum; tables whose two lengths differ are deflated (W3C recommendation of 13 December 2012).
    fn sfnt(woff: &[u8]) -> Vec<u8> {
        assert_eq!(&woff[..4], b"wOFF");
        let n = usize::from(u16::from_be_bytes([woff[12], woff[13]]));
        let mut head = [&woff[4..8], &woff[12..14], &[0; 6]].concat();
        let mut body = Vec::new();
        for entry in woff[44..].chunks_exact(20).take(n) {
            let (at, stored, length) = (word(entry, 4), word(entry, 8), word(entry, 12));
            let offset = u32::try_from(12 + 16 * n + body.len()).unwrap();
            head.extend(
                [&entry[..4], &entry[16..20], &offset.to_be_bytes(), &entry[12..16]].concat(),
            );
            let table = &woff[at..at + stored];
            if stored == length {
                body.extend_from_slice(table);
            } else {
                flate2::read::ZlibDecoder::new(table).read_to_end(&mut body).unwrap();
            }
            body.resize(body.len().next_multiple_of(4), 0);
        }
        [head, body].concat()
    }

    #[test]
    fn the_embedded_face_has_the_outlines_and_advances_of_the_font_that_measures() {
        let file = sfnt(EMBEDDED);
        let (full, small) = (
            FontRef::try_from_slice(DEJAVU_SANS).unwrap(),
            FontRef::try_from_slice(&file).unwrap(),
        );
        for c in (' '..='~').chain(SIGNS.chars()) {
            let (a, b) = (full.glyph_id(c), small.glyph_id(c));
            assert!(b.0 > 0, "{c:?} is missing");
            assert_eq!(full.h_advance_unscaled(a), small.h_advance_unscaled(b), "{c:?}");
            let [full, small] = [full.outline(a), small.outline(b)].map(|one| format!("{one:?}"));
            assert_eq!(full, small, "{c:?}");
        }
        assert_eq!(small.glyph_id('Ж').0, 0);
    }

    #[test]
    fn a_plot_carries_the_face_once_and_asks_for_it_first() {
        let sheet = Sheet::new(&example::exhibits()).unwrap().unwrap();
        let [svg, _] = files(&sheet).unwrap();
        let svg = String::from_utf8(svg.bytes).unwrap();
        assert_eq!(svg.matches("@font-face").count(), 1);
        let texts = svg.matches("<text").count();
        assert_eq!(svg.matches("font-family=\"'Plot Sans', ").count(), texts);
        assert!(texts > 0);
    }
}
