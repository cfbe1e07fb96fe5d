//! Tables and plots. The only door to `polars` and `plotters`.

pub mod input;
