//! Networks with a closed form.
