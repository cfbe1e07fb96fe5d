//! Model bundles: `model.yaml` and its graphs.
