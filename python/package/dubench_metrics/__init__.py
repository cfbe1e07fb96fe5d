"""Exact metrics of generative models and of their uncertainty, each with its error bar.

Arrays in, numbers out. Features are ``[n, d]``, one row an image, float32 or float64; they are read where they lie, without a
copy, while other Python threads run. Anything with ``__array__`` or DLPack on the CPU will do: NumPy, PyTorch, JAX, pandas.
What has no answer is a ``ValueError`` that says which argument, what was found and what is accepted: no NaN comes out.

======================================================  ===========================================================
How far are two sets apart?                             `fid`, `Reference`, `kid`, `mmd`, `frechet_distance`
Is the difference of two models real?                   `compare_paired`, `compare_unpaired`, `compare_overlapping`,
                                                        `compare_kid_paired`
Does dropping uncertain images help?                    `filter_study`, `kid_of_subsets`
Does uncertainty rank the error?                        `sparsification` (AUSE, AURG), `spearman`, `kendall`
Quality or diversity?                                   `overlap` (precision, recall, density, coverage),
                                                        `inception_score`
How real, how rare is one image?                        `realism`, `rarity`
Of several tests, which hold?                           `holm`, `share_interval`, `spearman_interval`
Are images there more than once?                        `equal_rows`
What does the Inception network see?                    `preprocess`
Features that do not fit in memory                      `Moments`
======================================================  ===========================================================
"""

from ._core import (
    Comparison,
    FidEstimate,
    FilterStudy,
    InceptionScore,
    Kid,
    KidComparison,
    KidEstimate,
    Mmd,
    Moments,
    Overlap,
    RankCorrelation,
    Reference,
    Sparsification,
    __version__,
    compare_kid_paired,
    compare_overlapping,
    compare_paired,
    compare_unpaired,
    equal_rows,
    fid,
    fid_inf_without_groups,
    filter_study,
    frechet_distance,
    holm,
    inception_score,
    jackknife_se,
    kendall,
    kid,
    kid_of_subsets,
    mmd,
    overlap,
    preprocess,
    rarity,
    realism,
    share_interval,
    sparsification,
    spearman,
    spearman_interval,
)

__all__ = [
    "Comparison",
    "FidEstimate",
    "FilterStudy",
    "InceptionScore",
    "Kid",
    "KidComparison",
    "KidEstimate",
    "Mmd",
    "Moments",
    "Overlap",
    "RankCorrelation",
    "Reference",
    "Sparsification",
    "__version__",
    "compare_kid_paired",
    "compare_overlapping",
    "compare_paired",
    "compare_unpaired",
    "equal_rows",
    "fid",
    "fid_inf_without_groups",
    "filter_study",
    "frechet_distance",
    "holm",
    "inception_score",
    "jackknife_se",
    "kendall",
    "kid",
    "kid_of_subsets",
    "mmd",
    "overlap",
    "preprocess",
    "rarity",
    "realism",
    "share_interval",
    "sparsification",
    "spearman",
    "spearman_interval",
]
