"""Measure the network on rows that it has never seen."""

import json
from pathlib import Path

import torch
from network import network, rows
from safetensors import safe_open

with safe_open("models/moons.safetensors", "pt") as file:
    model = network(int(file.metadata()["hidden"]))
    names = list(file.keys())
    model.load_state_dict({name: file.get_tensor(name) for name in names})

points, moons = rows("data/test.csv")
with torch.no_grad():
    answers = model(points)
right = int(((answers > 0) == (moons > 0.5)).sum())
metrics = {
    "accuracy": {"successes": right, "trials": len(moons)},
    "log_loss": round(torch.nn.functional.binary_cross_entropy_with_logits(answers, moons).item(), 4),
}
Path("metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
print(metrics)
