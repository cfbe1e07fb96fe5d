//! dubench.
