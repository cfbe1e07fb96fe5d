//! What plotters' SVG lacks: a size in logical pixels, a font stack, embedded images.

use std::fmt::Write as _;
use std::io::Cursor;

use image::ImageFormat;

use super::canvas::Raster;

/// Fonts in order of preference: plots are measured in the first.
const FONT_STACK: &str = "'DejaVu Sans', Verdana, Arial, sans-serif";

/// Rewrites the header of a drawing of `scale` times `size`, names the fonts, appends `rasters`, and adds `title` for
/// screen readers.
///
/// # Errors
/// The drawing has another header than plotters 0.3.7 writes, or an image cannot be encoded.
pub fn complete(
    drawing: &str,
    (width, height): (u32, u32),
    scale: u32,
    title: &str,
    rasters: &[Raster],
) -> Result<String, String> {
    let (w, h) = (width * scale, height * scale);
    let header = format!("<svg width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\"");
    let start = drawing
        .strip_prefix(&header)
        .ok_or_else(|| format!("the drawing does not start with {header}"))?;
    let (attributes, body) =
        start.split_once('>').ok_or_else(|| "the drawing's first tag does not end".to_owned())?;
    let body = body
        .trim_end()
        .strip_suffix("</svg>")
        .ok_or_else(|| "the drawing does not end".to_owned())?
        .replace("font-family=\"sans-serif\"", &format!("font-family=\"{FONT_STACK}\""));
    let mut out = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {w} {h}\" role=\"img\"{attributes}>\n<title>{}</title>{body}",
        escape(title)
    );
    for raster in rasters {
        out.push_str(&image_tag(raster, f64::from(scale))?);
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn image_tag(raster: &Raster, scale: f64) -> Result<String, String> {
    let mut png = Vec::new();
    raster
        .pixels
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .map_err(|error| error.to_string())?;
    let (x, y, w, h) = raster.place;
    let mut tag = String::new();
    writeln!(
        tag,
        "<image x=\"{:.0}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{:.0}\" preserveAspectRatio=\"none\" \
         image-rendering=\"optimizeSpeed\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
        x * scale,
        y * scale,
        w * scale,
        h * scale,
        base64(&png)
    )
    .map_err(|error| error.to_string())?;
    Ok(tag)
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place <= chunk.len() {
                let six = word >> (18 - 6 * place) & 63;
                out.push(char::from(ALPHABET[six as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc_examples() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn another_header_is_an_error_not_a_broken_file() {
        assert!(complete("<svg>", (10, 10), 3, "t", &[]).is_err());
    }
}
