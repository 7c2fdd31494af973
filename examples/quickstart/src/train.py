"""Learn to tell benign tumours from malignant ones."""

from pathlib import Path

import pandas as pd
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier

from runner import artefacts

params = yaml.safe_load(Path("params.yaml").read_text())["train"]
rows = pd.read_csv("data/train.csv")
model = HistGradientBoostingClassifier(**params, early_stopping=False, random_state=0)
features, outcome = rows.drop(columns="target"), rows["target"]
model.fit(features, outcome)

# A folder with the model, its columns, an example and a digest of each file, which every server can check.
folder = Path("models/tumour")
artefacts.write(folder, model, features=features, target="target", outputs=outcome, task="classification", seed=0)
print(f"learned from {len(rows)} rows with {params}")
