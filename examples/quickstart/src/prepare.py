"""Split the breast cancer data that ships inside scikit-learn into rows to learn from and rows to test on."""

from pathlib import Path

import yaml
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

params = yaml.safe_load(Path("params.yaml").read_text())["prepare"]
rows = load_breast_cancer(as_frame=True).frame
train, test = train_test_split(
    rows, test_size=params["test_share"], random_state=params["seed"], stratify=rows["target"]
)

Path("data").mkdir(exist_ok=True)
train.to_csv("data/train.csv", index=False)
test.to_csv("data/test.csv", index=False)
print(f"{len(train)} rows to learn from, {len(test)} rows to test on")
