//! How much memory the working values of the networks may take.

use bytesize::ByteSize;
use sysinfo::System;

use super::error::CliError;
use crate::model::onnx::Device;

/// Bytes for the working values of all networks: `asked`, or three quarters of what is free. On a GPU there is no limit
/// unless one is asked for: what is free here is not what is free there.
///
/// # Errors
/// [`CliError::Option`] where nothing is asked for, by name.
pub(super) fn working_bytes(
    asked: Option<ByteSize>,
    device: Device,
) -> Result<Option<u64>, CliError> {
    match asked {
        Some(ByteSize(0)) => {
            Err(CliError::option("--memory", "0", "a size above zero, such as 4GiB"))
        }
        Some(ByteSize(bytes)) => Ok(Some(bytes)),
        None if device.is_host() => Ok(Some(free_bytes() / 4 * 3)),
        None => Ok(None),
    }
}

/// Memory that new values can have: of the machine, or of the control group where that holds less. Cached files make
/// way, so they count as free.
pub(super) fn free_bytes() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let machine = system.available_memory();
    let group = system.cgroup_limits().map(|group| group.total_memory.saturating_sub(group.rss));
    group.map_or(machine, |group| group.min(machine))
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;

    use super::working_bytes;
    use crate::model::onnx::Device;

    #[test]
    fn what_is_asked_for_is_taken_and_nothing_is_refused() {
        let asked = Some("2 GiB".parse::<ByteSize>().unwrap());
        assert_eq!(working_bytes(asked, Device::Cpu).unwrap(), Some(2 << 30));
        assert_eq!(working_bytes(asked, Device::Cuda(0)).unwrap(), Some(2 << 30));
        let error = working_bytes(Some(ByteSize(0)), Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("--memory"), "{error}");
    }

    #[test]
    fn a_processor_has_a_default_and_a_gpu_has_none() {
        let free = working_bytes(None, Device::Cpu).unwrap().unwrap();
        assert!((1 << 20..1 << 50).contains(&free), "{free}");
        assert_eq!(working_bytes(None, Device::Cuda(0)).unwrap(), None);
    }
}
