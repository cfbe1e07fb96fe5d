//! Plain loops, compiled for the widest vector instructions of the processor at hand. The door to `pulp`.
//!
//! A binary is built for the oldest processor that it must run on; the loops here are built a second time for AVX2 and
//! chosen when they run. No operation is fused or reordered, so both give the same bits.

use pulp::{Arch, Simd, WithSimd};

/// A loop over slices. `run`, and what it calls in its loops, must be `#[inline(always)]`: only what is inlined is
/// compiled for the wider instructions.
pub(crate) trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs `kernel` with the widest instructions there are.
pub(crate) fn vectorised<K: Kernel>(kernel: K) -> K::Output {
    Arch::new().dispatch(Adapter(kernel))
}

struct Adapter<K>(K);

impl<K: Kernel> WithSimd for Adapter<K> {
    type Output = K::Output;

    #[expect(clippy::inline_always, reason = "see `Kernel`")]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> K::Output {
        self.0.run()
    }
}
