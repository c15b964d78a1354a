"""Flights that left New York City in 2013, with the weather at their airport."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from offbeat._utils.atomic import atomic_write
from offbeat.datasets.columns import category, dense, feature_names, labelled, sparse
from offbeat.datasets.container import Data, check_choice, float_dtype
from offbeat.datasets.rdatasets_files import read_table
from offbeat.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FlightTarget = Literal["late", "arr_delay"]

LATE_MINUTES = 15
N_ROWS = 325_724
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "visib")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SOURCE = "nycflights13: Bureau of Transportation Statistics and Iowa State Mesonet, 2013 (rdatasets 0.2.10)"
TARGETS = {"late": f"arrives more than {LATE_MINUTES} minutes late", "arr_delay": "arrival delay, minutes"}


def load_flights(one_hot: bool = False, *, target: FlightTarget = "late", dtype: DTypeLike = np.float64) -> Data:
    """Load the flights as a matrix of what is known before departure.

    Parameters
    ----------
    one_hot : bool, default False
        False: 45 dense columns (14 numbers, then month, origin and carrier one-hot). True: day of the month, hour,
        destination and aircraft one-hot as well, 4,236 columns in CSR.
    target : {"late", "arr_delay"}
        Whether a flight arrives more than 15 minutes late (int64, 0 or 1; 24 % are), or by how many minutes.
    dtype : {float64, float32}
        Type of the features.

    Returns
    -------
    Data
        325,724 rows in the order of the source, which is by date. Every category has a column for each of its
        levels, so those of one category add up to one: use a penalty.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or an option is unknown.

    Notes
    -----
    A flight is joined with the weather at its airport in its scheduled hour of departure. Dropped are flights that
    never arrived and those without temperature or wind speed. Actual departure and arrival times, the departure
    delay and the time in the air would give the answer away, and are no features. Wind direction, gusts and
    pressure are left out because they are often missing.

    Examples
    --------
    >>> from offbeat.datasets import load_flights
    >>> load_flights()
    Data(325,724 x 45 dense float64; target: arrives more than 15 minutes late)
    """
    check_choice("target", target, tuple(TARGETS))
    kind = float_dtype(dtype)
    table = _joined()
    numbers = _numbers(table)
    categories = [
        labelled("month", table["month"] - 1, MONTHS),
        category("origin", table["origin"]),
        category("carrier", table["carrier"]),
    ]
    if one_hot:
        categories += [category(name, table[name]) for name in ("day", "hour", "dest", "tailnum")]
    return Data(
        X=sparse(numbers, categories, kind) if one_hot else dense(numbers, categories, kind),
        y=_target(table, target),
        feature_names=feature_names(numbers, categories),
        description="A flight from New York City in 2013 joined with the weather in its scheduled hour of departure; "
        "the columns of each category add up to one.",
        target_name=TARGETS[target],
        source=SOURCE,
    )


def flights_table(*, target: FlightTarget = "late") -> pd.DataFrame:
    """Load the flights as a table of plain columns, as one would meet them in a file.

    Parameters
    ----------
    target : {"late", "arr_delay"}
        Last column: whether a flight arrives more than 15 minutes late (0 or 1), or by how many minutes. Only one
        of them, because each gives the other away.

    Returns
    -------
    pandas.DataFrame
        325,724 rows: month, weekday, day, hour, minute, carrier, origin, dest, tailnum, distance, temp, dewp,
        humid, wind_speed, precip, visib and the target. Month, weekday, carrier, origin, dest and tailnum are
        categorical.

    Raises
    ------
    DataError
        The package with the files is missing or not the pinned one, or the target is unknown.

    Examples
    --------
    >>> from offbeat.datasets import flights_table
    >>> flights_table().shape
    (325724, 17)
    """
    import pandas as pd

    check_choice("target", target, tuple(TARGETS))
    joined = _joined()
    categories = [
        labelled("month", joined["month"] - 1, MONTHS),
        labelled("weekday", _weekday(joined), WEEKDAYS),
        *(category(name, joined[name]) for name in ("carrier", "origin", "dest", "tailnum")),
    ]
    levels = {c.name: pd.Categorical.from_codes(c.codes, categories=pd.Index(c.levels)) for c in categories}
    plain = {name: joined[name].to_numpy() for name in ("day", "hour", "minute", "distance", *WEATHER)}
    names = ("month", "weekday", "day", "hour", "minute", "carrier", "origin", "dest", "tailnum", "distance")
    columns: dict[str, Any] = levels | plain
    table = pd.DataFrame({name: columns[name] for name in (*names, *WEATHER)})
    return table.assign(**{target: _target(joined, target)})


def write_flights(path: str | Path, *, target: FlightTarget = "late") -> Path:
    """Write `flights_table` to a Parquet file.

    Parameters
    ----------
    path : str or Path
        File to write, replaced if it exists.
    target : {"late", "arr_delay"}
        Last column of the table.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        The file cannot be written, or the table cannot be loaded.

    Examples
    --------
    >>> from offbeat.datasets import write_flights
    >>> write_flights("flights.parquet").name  # doctest: +SKIP
    'flights.parquet'
    """
    import pyarrow as pa
    import pyarrow.parquet

    path = Path(path)
    table = pa.Table.from_pandas(flights_table(target=target), preserve_index=False)
    try:
        with atomic_write(path) as file:
            pyarrow.parquet.write_table(table, file)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}.") from error
    return path


def _joined() -> pd.DataFrame:
    """Flights with the weather in their scheduled hour, without the rows that lack something."""
    flights = read_table("nycflights13/flights")
    flights["departures"] = flights.groupby(["origin", "time_hour"])["flight"].transform("size")
    weather = read_table("nycflights13/weather")[["origin", "time_hour", *WEATHER]]
    joined = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    joined = joined.dropna(subset=["arr_delay", *WEATHER]).reset_index(drop=True)
    if len(joined) != N_ROWS:
        raise DataError(f"Flights and weather join to {len(joined):,} rows instead of {N_ROWS:,}.")
    return joined


def _numbers(table: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Numeric features: linear ones, and the few bends that matter most for delays."""
    hour = table["hour"].to_numpy() + table["minute"].to_numpy() / 60
    weekday = _weekday(table)
    temperature, rain = table["temp"].to_numpy(), table["precip"].to_numpy()
    return {
        "temperature, degrees F": temperature,
        "dew point, degrees F": table["dewp"].to_numpy(),
        "humidity, %": table["humid"].to_numpy(),
        "wind speed, mph": table["wind_speed"].to_numpy(),
        "precipitation, inches": rain,
        "visibility, miles": table["visib"].to_numpy(),
        "distance, miles": table["distance"].to_numpy(),
        "scheduled hour": hour,
        # Delays add up from morning to evening: a bend around the middle of the day, not a second slope.
        "hours from 1 pm, squared": (hour - 13) ** 2,
        "departures in the hour": table["departures"].to_numpy(),
        "Thursday or Friday": (weekday == 3) | (weekday == 4),
        "Saturday": weekday == 5,
        "rain at 65 degrees F or more": (temperature >= 65) & (rain > 0),
        "precipitation at 36 degrees F or less": (temperature <= 36) & (rain > 0),
    }


def _weekday(table: pd.DataFrame) -> NDArray[np.int64]:
    """Weekday of each flight, 0 for Monday."""
    months = np.datetime64("2013-01", "M") + (table["month"].to_numpy() - 1)
    days = months.astype("datetime64[D]") + (table["day"].to_numpy() - 1)
    since_thursday: NDArray[np.int64] = days.astype(np.int64)  # 1 January 1970 was a Thursday
    return (since_thursday + 3) % 7


def _target(table: pd.DataFrame, target: FlightTarget) -> NDArray[Any]:
    delay = table["arr_delay"].to_numpy()
    return (delay > LATE_MINUTES).astype(np.int64) if target == "late" else delay.astype(np.float64)
