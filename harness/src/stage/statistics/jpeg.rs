//! What a JPEG says of itself, and whether it is whole: decoders turn CMYK to RGB and fill what is missing without a word.

/// Markers of a frame: baseline, progressive and the rest, without those of tables.
fn is_frame(marker: u8) -> bool {
    (0xC0..=0xCF).contains(&marker) && ![0xC4, 0xC8, 0xCC].contains(&marker)
}

/// What is in the way of reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It ends before its scans do.
    CutShort,
    /// Four channels.
    Cmyk,
    /// More than 8 bits a channel.
    Deep,
}

/// Walks over the segments up to the first scan, and looks for the end marker behind it. A thumbnail in a segment before has
/// an end marker of its own.
pub(super) fn obstacle(bytes: &[u8]) -> Option<Obstacle> {
    let mut rest = bytes.get(2..)?;
    loop {
        // Fill bytes may stand before a marker.
        while let [0xFF, 0xFF, ..] = rest {
            rest = &rest[1..];
        }
        let [0xFF, marker, high, low, body @ ..] = rest else { return Some(Obstacle::CutShort) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(next) = rest.get(2 + length..) else { return Some(Obstacle::CutShort) };
        match (marker, body) {
            (0xDA, _) => {
                let whole = next.windows(2).any(|pair| pair == [0xFF, 0xD9]);
                return (!whole).then_some(Obstacle::CutShort);
            }
            (&marker, [bits, _, _, _, _, channels, ..]) if is_frame(marker) => {
                if *bits != 8 {
                    return Some(Obstacle::Deep);
                }
                if *channels == 4 {
                    return Some(Obstacle::Cmyk);
                }
            }
            _ => {}
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment with the end marker inside, as thumbnails have it, a frame, and a scan.
    fn file(bits: u8, channels: u8, end: &[u8]) -> Vec<u8> {
        let thumbnail = [0xFF, 0xE1, 0, 4, 0xFF, 0xD9];
        let frame = [0xFF, 0xC0, 0, 8, bits, 0, 4, 0, 4, channels];
        let scan = [0xFF, 0xDA, 0, 3, 1, 9, 9];
        [&[0xFF, 0xD8][..], &thumbnail, &frame, &scan, end].concat()
    }

    #[test]
    fn only_an_end_marker_behind_the_scan_ends_a_file() {
        assert_eq!(obstacle(&file(8, 3, &[0xFF, 0xD9])), None);
        assert_eq!(obstacle(&file(8, 3, &[0xFF, 0xD9, 1, 2, 3])), None);
        assert_eq!(obstacle(&file(8, 3, &[])), Some(Obstacle::CutShort));
        assert_eq!(obstacle(&file(8, 3, &[])[..9]), Some(Obstacle::CutShort));
    }

    #[test]
    fn channels_and_bits_are_read_from_the_frame() {
        assert_eq!(obstacle(&file(8, 4, &[0xFF, 0xD9])), Some(Obstacle::Cmyk));
        assert_eq!(obstacle(&file(12, 1, &[0xFF, 0xD9])), Some(Obstacle::Deep));
    }
}
