"""Write the wine data that ships inside scikit-learn: `python src/collect.py OUT`."""

import sys
from pathlib import Path

from sklearn.datasets import load_wine

out = Path(sys.argv[1])
out.parent.mkdir(parents=True, exist_ok=True)
load_wine(as_frame=True).frame.to_csv(out, index=False)
