"""Make a table of customers whose truth is known: what drives them away stands below, and everything else is noise.

Each customer has one to three rows, one for each month. A few rows have faults, as data of the world has.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

CUSTOMERS = 1000
chance = np.random.default_rng(int(os.environ.get("RUNNER_SEED", "0")))

rows_of = chance.integers(1, 4, CUSTOMERS)
customer = np.repeat(np.arange(1, CUSTOMERS + 1), rows_of)
count = len(customer)
first = np.repeat(chance.integers(1, 100, CUSTOMERS), rows_of)
month = np.concatenate([np.arange(number) for number in rows_of])
gender = np.repeat(chance.choice(["f", "m"], CUSTOMERS), rows_of)
region = np.repeat(chance.choice(["east", "north", "south"], CUSTOMERS), rows_of)
plan = np.repeat(chance.choice(["basic", "plus", "pro"], CUSTOMERS, p=[0.5, 0.35, 0.15]), rows_of)
price = chance.normal(40, 12, count).clip(5, 120).round(2)
calls = chance.poisson(1.2, count)
late = chance.poisson(0.5, count)
income = chance.lognormal(8, 0.4, count).round(2)
tenure = first + month

# The truth: calls for help, late payments, a high price and the cheapest plan drive customers away; years keep them.
# Gender, region and income change nothing.
score = -3 + 1.1 * calls + 1.3 * late + 0.05 * (price - 40) + 1.0 * (plan == "basic") - 0.025 * (tenure - 50)
churned = chance.random(count) < 1 / (1 + np.exp(-score))

table = pd.DataFrame(
    {
        "customer_id": [f"C-{number:05d}" for number in customer],
        "month": [f"2026-{number + 1:02d}-01" for number in month],
        "gender": gender,
        "region": region,
        "plan": plan,
        "tenure_months": tenure,
        "monthly_price": price,
        "support_calls": calls,
        "late_payments": late,
        "income": income,
        "churned": np.where(churned, "yes", "no"),
    }
)
table.loc[chance.random(count) < 0.05, "income"] = np.nan

# The faults: another spelling, another unit, and a tenure of a century.
table.loc[chance.choice(count, 12, replace=False), "plan"] = "Basic "
table.loc[chance.choice(count, 9, replace=False), "monthly_price"] *= -100
table.loc[chance.choice(count, 6, replace=False), "tenure_months"] = 1200

Path("data").mkdir(exist_ok=True)
table.to_csv("data/raw.csv", index=False, lineterminator="\n")
print(f"{count} rows of {CUSTOMERS} customers, {churned.mean():.0%} of them leave")
