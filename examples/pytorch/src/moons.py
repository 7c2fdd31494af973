"""Make two half moons that no straight line tells apart."""

import csv
import math
import os
import random
from pathlib import Path

chance = random.Random(int(os.environ["RUNNER_SEED"]))


def row() -> list[str]:
    moon, angle = chance.randrange(2), chance.uniform(0, math.pi)
    x, y = math.cos(angle), math.sin(angle)
    x, y = (1 - x, 0.5 - y) if moon else (x, y)
    return [f"{x + chance.gauss(0, 0.12):.4f}", f"{y + chance.gauss(0, 0.12):.4f}", str(moon)]


Path("data").mkdir(exist_ok=True)
for name, count in (("train", 600), ("test", 400)):
    with open(f"data/{name}.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["x", "y", "moon"], *(row() for _ in range(count))])
