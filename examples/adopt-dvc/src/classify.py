"""Tell the growers apart and measure how well that goes: `python src/classify.py DATA OUT`."""

import json
import sys
from pathlib import Path

import pandas as pd
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data, out = sys.argv[1:]
params = yaml.safe_load(Path("params.yaml").read_text())["classify"]
rows = pd.read_csv(data)
model = make_pipeline(StandardScaler(), LogisticRegression())
scores = cross_val_score(model, rows[params["features"]], rows["target"], cv=params["folds"])
Path(out).write_text(json.dumps({"accuracy": round(scores.mean(), 4), "spread": round(scores.std(), 4)}) + "\n")
