//! generate, features, evaluate: parts in, parts out.
