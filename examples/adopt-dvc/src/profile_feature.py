"""Count one feature in bins for each grower: `python src/profile_feature.py DATA FEATURE OUT`."""

import sys
from pathlib import Path

import pandas as pd
import yaml

data, feature, out = sys.argv[1:]
bins = yaml.safe_load(Path("params.yaml").read_text())["bins"]
rows = pd.read_csv(data)
counts = pd.crosstab(pd.cut(rows[feature], bins), rows["target"])

Path(out).parent.mkdir(parents=True, exist_ok=True)
counts.to_csv(out)
