//! dubench.
fn main() {}
