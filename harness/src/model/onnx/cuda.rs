//! What a session on a GPU is told. Every option with its reason is in `docs/cuda.md`.

use std::str::FromStr;

use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{ArenaExtendStrategy, CUDA};

/// Options of sessions on a GPU. The defaults give the same digits run after run, as far as the libraries allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CudaOptions {
    /// How the kernel of a convolution is chosen.
    pub search: ConvSearch,
    /// Order of the axes of images inside the device.
    pub layout: ImageLayout,
    /// Whether a call is recorded once and replayed.
    pub graph: Replay,
    /// Where nodes run that the device has no kernel for.
    pub other_nodes: OtherNodes,
    /// MiB that a session may take of the device's memory, weights included; `None`: all there is.
    pub memory_mib: Option<usize>,
}

/// How the kernel of a convolution is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConvSearch {
    /// Always the same one.
    #[default]
    Fixed,
    /// By rules of cuDNN over shapes.
    Heuristic,
    /// By trying all: slow to begin, most memory, and another kernel may win the next time.
    Exhaustive,
}

/// Order of the axes of images inside the device; what goes in and comes out keeps its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageLayout {
    /// Channels, height, width.
    #[default]
    Nchw,
    /// Channels last, which tensor cores prefer.
    Nhwc,
}

/// Whether the launches of a call are recorded once for each set of shapes, and replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replay {
    /// They are launched one by one.
    #[default]
    Off,
    /// They are replayed, which asks for fixed shapes, buffers on the device and a graph without control flow.
    On,
}

/// Where nodes run that the device has no kernel for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherNodes {
    /// Nowhere: the session is refused.
    #[default]
    Refused,
    /// On the CPU, which costs two copies each.
    Cpu,
}

impl CudaOptions {
    /// What the device is called in the provenance of a result, behind its ordinal: the options that move digits.
    pub(super) fn suffix(self) -> String {
        let search = match self.search {
            ConvSearch::Fixed => "",
            ConvSearch::Heuristic => ", search=heuristic",
            ConvSearch::Exhaustive => ", search=exhaustive",
        };
        let layout = match self.layout {
            ImageLayout::Nchw => "",
            ImageLayout::Nhwc => ", layout=nhwc",
        };
        format!("{search}{layout}")
    }

    /// The provider, on the GPU of this ordinal.
    pub(super) fn provider(self, ordinal: i32, tf32: bool) -> CUDA {
        let search = match self.search {
            ConvSearch::Fixed => ConvAlgorithmSearch::Default,
            ConvSearch::Heuristic => ConvAlgorithmSearch::Heuristic,
            ConvSearch::Exhaustive => ConvAlgorithmSearch::Exhaustive,
        };
        let provider = CUDA::default()
            .with_device_id(ordinal)
            .with_tf32(tf32)
            .with_conv_algorithm_search(search)
            .with_prefer_nhwc(self.layout == ImageLayout::Nhwc)
            .with_cuda_graph(self.graph == Replay::On)
            .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested);
        match self.memory_mib {
            Some(mib) => provider.with_memory_limit(mib.saturating_mul(1 << 20)),
            None => provider,
        }
    }
}

/// A word that is no option of a GPU.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{got}` is no option of a GPU: expected search=fixed|heuristic|exhaustive, layout=nchw|nhwc, graph=off|on, other-nodes=refused|cpu or memory-mib=NUMBER, several with commas"
)]
pub struct UnknownCudaOption {
    got: String,
}

impl FromStr for CudaOptions {
    type Err = UnknownCudaOption;

    /// Reads options by name, with commas between; what is not named has its default.
    ///
    /// # Examples
    /// ```
    /// use dubench::model::onnx::cuda::{ConvSearch, CudaOptions, Replay};
    ///
    /// let options: CudaOptions = "search=heuristic,graph=on".parse()?;
    /// assert_eq!((options.search, options.graph), (ConvSearch::Heuristic, Replay::On));
    /// assert!("tf32=on".parse::<CudaOptions>().is_err());
    /// # Ok::<(), dubench::model::onnx::cuda::UnknownCudaOption>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut options = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            match word {
                "search=fixed" => options.search = ConvSearch::Fixed,
                "search=heuristic" => options.search = ConvSearch::Heuristic,
                "search=exhaustive" => options.search = ConvSearch::Exhaustive,
                "layout=nchw" => options.layout = ImageLayout::Nchw,
                "layout=nhwc" => options.layout = ImageLayout::Nhwc,
                "graph=off" => options.graph = Replay::Off,
                "graph=on" => options.graph = Replay::On,
                "other-nodes=refused" => options.other_nodes = OtherNodes::Refused,
                "other-nodes=cpu" => options.other_nodes = OtherNodes::Cpu,
                _ => {
                    let mib = word.strip_prefix("memory-mib=").and_then(|n| n.parse().ok());
                    let unknown = || UnknownCudaOption { got: word.to_owned() };
                    options.memory_mib = Some(mib.filter(|mib| *mib > 0).ok_or_else(unknown)?);
                }
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_move_digits_are_told_with_the_device() {
        let all: CudaOptions =
            "search=exhaustive,layout=nhwc,graph=on,other-nodes=cpu,memory-mib=20000"
                .parse()
                .unwrap();
        assert_eq!(all.suffix(), ", search=exhaustive, layout=nhwc");
        assert_eq!((all.graph, all.other_nodes), (Replay::On, OtherNodes::Cpu));
        assert_eq!(all.memory_mib, Some(20_000));
        assert_eq!("".parse(), Ok(CudaOptions::default()));
        assert_eq!(CudaOptions::default().suffix(), "");
    }

    #[test]
    fn words_that_are_no_option_are_refused_with_those_that_are() {
        for word in
            ["search", "search=best", "nhwc", "graph=on;layout=nhwc", "memory-mib=0", "tf32=on"]
        {
            let error = word.parse::<CudaOptions>().unwrap_err().to_string();
            assert!(error.contains("search=fixed|heuristic|exhaustive"), "{error}");
        }
    }
}
