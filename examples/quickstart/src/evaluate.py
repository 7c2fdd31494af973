"""Measure the model on the rows it has never seen."""

import json
from pathlib import Path

import pandas as pd
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from runner import artefacts

rows = pd.read_csv("data/test.csv")
model = artefacts.read(Path("models/tumour"))
score = model.predict_proba(rows.drop(columns="target"))[:, 1]

metrics = {
    "roc_auc": round(roc_auc_score(rows["target"], score), 4),
    "accuracy": round(accuracy_score(rows["target"], score > 0.5), 4),
}
Path("metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")

false_positive, true_positive, _ = roc_curve(rows["target"], score)
curve = pd.DataFrame({"false_positive_rate": false_positive, "true_positive_rate": true_positive})
Path("plots").mkdir(exist_ok=True)
curve.round(6).to_csv("plots/roc.csv", index=False)
print(metrics)
