//! What a reader sees instead of the names in the stores.

/// Name of a method as tables and legends print it. A name that is not ours stays as it is.
///
/// # Examples
/// ```
/// use dubench::report::label;
/// assert_eq!(label::method("mc_dropout"), "MC-Dropout");
/// assert_eq!(label::method("my_score"), "my_score");
/// ```
pub fn method(name: &str) -> &str {
    match name {
        "random" => "Random subsets",
        "full" => "Full pool",
        "sample_var" => "Score variance",
        "centered" => "Centred variance",
        "mc_dropout" => "MC-Dropout",
        "bayesdiff" => "BayesDiff",
        "mean_squared_epsilon" => "Mean squared ε",
        "total_variation" => "Total variation",
        "mc_dropout_p50" => "MC-Dropout, p = 0.5",
        "estimate_shift" => "Shift of x̂₀",
        "local_variance" => "Local variance",
        "oracle" => "Oracle",
        "unguided" => "Unguided",
        "gradient" => "Gradient (Eq. 10)",
        "descent" => "Gradient, downhill",
        "posterior" => "Posterior",
        "second_order" => "Second order",
        "per_image" => "Gradient, own percentile",
        "dataset_scalar" => "Gradient, percentile of a set, one a step",
        "dataset_pixel" => "Gradient, percentile of a set, one a pixel and step",
        "dataset_pixel_m20" => "Gradient, percentile of a set of 20 draws, one a pixel and step",
        "posterior_pixel" => "Posterior, percentile of a set, one a pixel and step",
        "authors_gradient" => "Released gradient",
        "authors_posterior" => "Released posterior",
        other => other,
    }
}

/// Where a method stands in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Not chosen by any score: random subsets, the full pool.
    Baseline,
    /// An uncertainty estimator.
    Estimator,
    /// A score that knows nothing of uncertainty: what an estimator has to beat.
    Control,
}

/// Group of a method. A method that is not ours is an estimator.
pub fn group(name: &str) -> Group {
    match name {
        "random" | "full" | "oracle" => Group::Baseline,
        "mean_squared_epsilon" | "total_variation" | "local_variance" | "estimate_shift" => {
            Group::Control
        }
        _ => Group::Estimator,
    }
}

/// Which images are kept, in words.
pub fn kept(direction: Option<&str>) -> &str {
    match direction {
        Some("keep_lowest") => "most certain",
        Some("keep_highest") => "least certain",
        Some(other) => other,
        None => "",
    }
}
