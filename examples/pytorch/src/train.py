"""Train the network and keep its weights as safetensors: a file of numbers that runs nothing when it is opened."""

import os
from pathlib import Path

import torch
import yaml
from network import network, rows
from safetensors.torch import save_file

params = yaml.safe_load(Path("params.yaml").read_text())["train"]
torch.manual_seed(int(os.environ["RUNNER_SEED"]))
torch.use_deterministic_algorithms(True)
points, moons = rows("data/train.csv")
model = network(params["hidden"])
optimiser = torch.optim.Adam(model.parameters(), lr=params["learning_rate"])
for _ in range(params["epochs"]):
    optimiser.zero_grad()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(points), moons)
    loss.backward()
    optimiser.step()

Path("models").mkdir(exist_ok=True)
save_file(model.state_dict(), "models/moons.safetensors", {"hidden": str(params["hidden"])})
print(f"loss {loss.item():.4f} after {params['epochs']} epochs")
