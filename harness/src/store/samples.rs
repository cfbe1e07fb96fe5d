//! The files of `dubench sample`: arrays for programs, PNG and CSV for people.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use ndarray::{Array4, ArrayView3, Axis, stack};
use ndarray_npy::{NpzWriter, WriteNpyExt};

use super::records::MethodScores;
use super::{StoreError, publish};
use crate::units::{ClassLabel, SampleId};

/// Folder of the images.
const PICTURES: &str = "images";

/// Samples as they are written.
#[derive(Clone, Copy, Debug)]
pub struct SampleFiles<'a> {
    /// Sample ids, one a row.
    pub samples: &'a [SampleId],
    /// Final states `[n, c, h, w]`.
    pub x0: &'a Array4<f32>,
    /// Images `[n, 3, H, W]`.
    pub images: &'a Array4<u8>,
    /// Classes.
    pub labels: Option<&'a [ClassLabel]>,
    /// Scores and maps.
    pub methods: &'a [MethodScores],
}

/// Folders that were made for samples, the deepest first. Those that nothing was put into are taken away again.
#[derive(Debug)]
pub struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // One with something in it stays: the system refuses to remove it.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl SampleFiles<'_> {
    /// Makes the folders that [`SampleFiles::write`] writes to: before the work, which would be lost where they cannot be made.
    ///
    /// # Errors
    /// [`StoreError::Write`].
    pub fn make(folder: &Path) -> Result<Made, StoreError> {
        let pictures = folder.join(PICTURES);
        let new = pictures.ancestors().take_while(|above| !above.as_os_str().is_empty());
        let made = Made(new.take_while(|above| !above.exists()).map(Path::to_owned).collect());
        std::fs::create_dir_all(&pictures).map_err(StoreError::write(&pictures))?;
        Ok(made)
    }

    /// Writes `final.npy` (f32 `[n, c, h, w]`), `images/ID.png`, `scores.csv` (one row an image, one column an estimator) and
    /// `maps.npz` (f32 `[n, h, w]` under the name of each estimator, summed over its window and channels) into `folder`, and
    /// answers their names.
    ///
    /// # Errors
    /// [`StoreError::Write`] where the folder or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<String>, StoreError> {
        let _made = Self::make(folder)?;
        let pictures = folder.join(PICTURES);
        let mut names = vec!["final.npy".to_owned(), "scores.csv".to_owned()];
        put(folder, "final.npy", &self.states(folder)?)?;
        put(folder, "scores.csv", self.scores().as_bytes())?;
        if self.methods.iter().any(|method| method.map.is_some()) {
            put(folder, "maps.npz", &self.maps(folder)?)?;
            names.push("maps.npz".to_owned());
        }
        for (id, image) in self.samples.iter().zip(self.images.axis_iter(Axis(0))) {
            let name = format!("{:08}.png", id.0);
            put(&pictures, &name, &png(image).map_err(StoreError::decode(&pictures.join(&name)))?)?;
        }
        names.push(format!("images/ ({})", self.samples.len()));
        Ok(names)
    }

    fn states(&self, folder: &Path) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let written = self.x0.write_npy(&mut bytes);
        written.map_err(StoreError::decode(&folder.join("final.npy")))?;
        Ok(bytes)
    }

    fn maps(&self, folder: &Path) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let mut npz = NpzWriter::new(Cursor::new(&mut bytes));
        let path = folder.join("maps.npz");
        for method in self.methods {
            let Some(maps) = &method.map else { continue };
            let planes: Vec<_> = maps.iter().map(|map| map.index_axis(Axis(0), 0)).collect();
            let joined = stack(Axis(0), &planes).map_err(StoreError::decode(&path))?;
            npz.add_array(method.method.as_str(), &joined).map_err(StoreError::decode(&path))?;
        }
        npz.finish().map_err(StoreError::decode(&path))?;
        Ok(bytes)
    }

    /// Numbers in the shortest form that reads back to the same bits.
    fn scores(&self) -> String {
        let mut text = "sample".to_owned();
        text.extend(self.labels.iter().map(|_| ",label"));
        for method in self.methods {
            let _ = write!(text, ",{}", method.method);
        }
        text.push('\n');
        for (row, id) in self.samples.iter().enumerate() {
            let _ = write!(text, "{}", id.0);
            if let Some(labels) = self.labels {
                let _ = write!(text, ",{}", labels[row].0);
            }
            for method in self.methods {
                let _ = write!(text, ",{}", method.score[row]);
            }
            text.push('\n');
        }
        text
    }
}

/// Publishes one file of a folder of samples.
pub(crate) fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    publish(&path, bytes).map_err(StoreError::write(&path))
}

/// `[3, H, W]` as a PNG.
fn png(image: ArrayView3<'_, u8>) -> Result<Vec<u8>, image::ImageError> {
    let (_, h, w) = image.dim();
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let pixels = RgbImage::from_fn(side(w), side(h), |x, y| {
        image::Rgb([0, 1, 2].map(|c| image[[c, y as usize, x as usize]]))
    });
    let mut bytes = Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Array4, s};

    use super::*;
    use crate::store::arrays;
    use crate::store::records::Span;
    use crate::units::Nfe;

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let x0 =
            Array4::from_shape_fn((2, 3, 2, 2), |(n, c, y, x)| (n * 12 + c * 4 + y * 2 + x) as f32);
        let images = Array4::from_shape_fn((2, 3, 2, 2), |(n, c, y, x)| {
            u8::try_from(n * 120 + c * 40 + y * 20 + x * 10).unwrap()
        });
        let map = |value: f32| Array3::from_elem((1, 2, 2), value);
        let method = MethodScores {
            method: "sample_var".to_owned(),
            span: Span::Window,
            score: vec![0.1, 1.0 / 3.0],
            map: Some(vec![map(0.5), map(0.25)]),
            nfe: Nfe::default(),
            network_seconds: 0.0,
        };
        let files = SampleFiles {
            samples: &[SampleId(7), SampleId(8)],
            x0: &x0,
            images: &images,
            labels: Some(&[ClassLabel(3), ClassLabel(1)]),
            methods: &[method],
        };
        files.write(folder.path()).unwrap();
        let csv = std::fs::read_to_string(folder.path().join("scores.csv")).unwrap();
        assert_eq!(csv, "sample,label,sample_var\n7,3,0.1\n8,1,0.3333333333333333\n");
        let states = arrays::load(&folder.path().join("final.npy"), &[]).unwrap();
        assert_eq!(states.header.shape, [2, 3, 2, 2]);
        let maps = arrays::load(&folder.path().join("maps.npz"), &["sample_var"]).unwrap();
        assert_eq!(maps.header.shape, [2, 2, 2]);
        let picture = image::open(folder.path().join("images/00000008.png")).unwrap().into_rgb8();
        let expected = images.slice(s![1, .., 1, 0]).to_vec();
        assert_eq!(picture.get_pixel(0, 1).0.to_vec(), expected);
    }
}
