//! Writes PNG files again as small as `report` does, pixel by pixel the same; those that would not shrink stay.
//!
//! ```sh
//! cargo run -p dubench --example smaller_png experiments/models/*/samples.png results/third-party/*.png
//! ```
//!
//! Files of a result are named in its `run.json` by their hash: draw those again instead.

use std::error::Error;
use std::path::Path;

use dubench::report::plot::smallest;
use dubench::store::publish;

fn main() -> Result<(), Box<dyn Error>> {
    for name in std::env::args().skip(1) {
        let (before, after) =
            shrink(Path::new(&name)).map_err(|error| format!("{name}: {error}"))?;
        #[expect(clippy::print_stdout, reason = "it is the answer")]
        {
            println!("{name}: {before} to {after} bytes");
        }
    }
    Ok(())
}

fn shrink(path: &Path) -> Result<(usize, usize), Box<dyn Error>> {
    let old = std::fs::read(path)?;
    let pixels = image::load_from_memory(&old)?;
    let image::DynamicImage::ImageRgb8(pixels) = pixels else {
        return Err(format!("is {:?}, expected RGB of 8 bits", pixels.color()).into());
    };
    let new = smallest(&pixels)?;
    if image::load_from_memory(&new)?.to_rgb8() != pixels {
        return Err("the new file has other pixels".into());
    }
    if new.len() < old.len() {
        publish(path, &new)?;
    }
    Ok((old.len(), new.len().min(old.len())))
}
