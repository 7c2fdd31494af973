"""Learn to tell benign tumours from malignant ones."""

from pathlib import Path

import joblib
import pandas as pd
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier

params = yaml.safe_load(Path("params.yaml").read_text())["train"]
rows = pd.read_csv("data/train.csv")
model = HistGradientBoostingClassifier(**params, early_stopping=False, random_state=0)
model.fit(rows.drop(columns="target"), rows["target"])

Path("models").mkdir(exist_ok=True)
joblib.dump(model, "models/tumour.joblib")
print(f"learned from {len(rows)} rows with {params}")
