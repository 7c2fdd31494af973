"""Fits a line to what was sold, and says how far off it is."""

import csv
import json
import statistics

with open("sales.csv", newline="") as file:
    rows = [(float(row["size"]), float(row["price"])) for row in csv.DictReader(file)]
sizes, prices = zip(*rows, strict=True)
slope, start = statistics.linear_regression(sizes, prices)
error = statistics.fmean(abs(start + slope * size - price) for size, price in rows)
for name, value in (("model.json", {"slope": slope, "start": start}), ("metrics.json", {"error": error})):
    with open(name, "w") as file:
        json.dump(value, file, indent=1)
