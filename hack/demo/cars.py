"""Auto MPG: 406 cars of 1970-82 (UCI Machine Learning Repository; as shipped in the vega_datasets wheel)."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from importlib.resources import files

COLUMNS = (
    "Name",
    "Year",
    "Origin",
    "Cylinders",
    "Displacement",
    "Horsepower",
    "Weight_in_lbs",
    "Acceleration",
    "Miles_per_Gallon",
)
FEATURES = ("Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration")


@dataclass(frozen=True)
class Car:
    """One car; a number is None where the data has none."""

    row: dict[str, object]

    @property
    def year(self) -> int:
        """Model year."""
        return int(str(self.row["Year"]))

    @property
    def mileage(self) -> float | None:
        """True miles per gallon."""
        value = self.row["Miles_per_Gallon"]
        return None if value is None else float(str(value))

    def features(self) -> dict[str, float | None]:
        """What the model is asked with."""
        return {name: None if self.row[name] is None else float(str(self.row[name])) for name in FEATURES}


def load() -> list[Car]:
    """Return all cars, oldest first."""
    raw = json.loads(files("vega_datasets").joinpath("_data/cars.json").read_text())
    cars = [Car({**{name: one.get(name) for name in COLUMNS}, "Year": str(one["Year"])[:4]}) for one in raw]
    return sorted(cars, key=lambda car: car.year)


def as_csv(cars: list[Car]) -> bytes:
    """Return the cars as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(car.row for car in cars)
    return text.getvalue().encode()
