"""Make tickets whose team is known: each team has words of its own, and one ticket in ten is about something else."""

import csv
import os
import random
from pathlib import Path

TEAMS = {
    "billing": ["invoice", "refund", "charged", "twice", "card", "payment", "receipt", "amount", "discount", "bank"],
    "delivery": ["parcel", "courier", "late", "address", "tracking", "box", "arrived", "damaged", "street", "pickup"],
    "account": ["password", "login", "email", "reset", "locked", "profile", "phone", "code", "username", "delete"],
    "product": ["battery", "screen", "noise", "broken", "button", "charger", "update", "setting", "cable", "manual"],
}
COMMON = [
    "please",
    "help",
    "me",
    "my",
    "the",
    "since",
    "yesterday",
    "again",
    "still",
    "cannot",
    "why",
    "not",
    "with",
    "order",
    "thanks",
    "hello",
    "urgent",
]
ROWS = 480

chance = random.Random(int(os.environ.get("RUNNER_SEED", "0")))
rows = []
for number in range(1, ROWS + 1):
    team = chance.choice(sorted(TEAMS))
    about = chance.choice(sorted(TEAMS)) if chance.random() < 0.1 else team
    words = chance.choices(COMMON, k=chance.randint(6, 12)) + chance.choices(TEAMS[about], k=chance.randint(2, 4))
    chance.shuffle(words)
    rows.append([f"T-{number:04d}", chance.choice(["mail", "chat", "phone"]), " ".join(words), team])

Path("data").mkdir(exist_ok=True)
with open("data/tickets.csv", "w", encoding="utf-8", newline="") as file:
    csv.writer(file, lineterminator="\n").writerows([["id", "channel", "message", "team"], *rows])
print(f"{len(rows)} tickets for {len(TEAMS)} teams")
