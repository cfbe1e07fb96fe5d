//! What plotters' SVG lacks: a size in logical pixels, an embedded font, embedded images.

use std::fmt::Write as _;

use super::canvas::Raster;
use super::font;
use super::png::smallest;

/// Fonts in order of preference: the embedded one, and for what it lacks the one in which plots are measured.
const FONT_STACK: &str = "'Plot Sans', 'DejaVu Sans', Verdana, Arial, sans-serif";

/// Rewrites the header of a drawing of `scale` times `size`, embeds the font, appends `rasters`, and adds `title` for
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
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {w} {h}\" role=\"img\"{attributes}>\n<title>{}</title>\n\
         <style>@font-face{{font-family:'Plot Sans';src:url(data:font/woff;base64,{})}}</style>{body}",
        escape(title),
        base64(font::EMBEDDED)
    );
    for raster in rasters {
        out.push_str(&image_tag(raster, f64::from(scale))?);
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn image_tag(raster: &Raster, scale: f64) -> Result<String, String> {
    let png = smallest(&raster.pixels)?;
    let (x, y, w, h) = raster.place;
    let mut tag = String::new();
    writeln!(
        tag,
        "<image x=\"{:.0}\" y=\"{:.0}\" width=\"{:.0}\" height=\"{:.0}\" preserveAspectRatio=\"none\" \
         image-rendering=\"optimizeSpeed\" style=\"image-rendering:crisp-edges;image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
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
    use image::{Rgb, RgbImage};

    use super::*;

    /// Pixels as they are, stretched by the viewer without smoothing: by the name of every browser.
    #[test]
    fn rasters_are_embedded_at_their_own_size() {
        let pixels = RgbImage::from_fn(3, 2, |x, y| Rgb([u8::try_from(40 * x + y).unwrap(), 5, 6]));
        let raster = Raster { place: (1.0, 2.0, 96.0, 64.0), pixels };
        let tag = image_tag(&raster, 10.0).unwrap();
        assert!(tag.contains("width=\"960\" height=\"640\""), "{tag}");
        assert!(tag.contains("image-rendering:crisp-edges;image-rendering:pixelated"), "{tag}");
        assert!(tag.contains(&base64(&smallest(&raster.pixels).unwrap())), "{tag}");
        assert!(tag.len() < 500, "{}", tag.len());
    }

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
