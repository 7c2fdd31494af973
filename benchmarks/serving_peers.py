"""What `benchmarks.serving` runs beside ours: small programs for other servers, each for the Python that has them."""

from __future__ import annotations

BARE = """
import json, sys
import pandas, uvicorn
from pathlib import Path
from runner import artefacts
model = artefacts.read(Path(sys.argv[1]))
async def app(scope, receive, send):
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    if not body:
        body = open(sys.argv[3], "rb").read()
    said = model.model.predict(model.aligned(pandas.DataFrame(json.loads(body)["dataframe_records"])))
    answer = json.dumps({"predictions": said.tolist()}).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False, lifespan="off", loop="uvloop")
"""
"""uvicorn that calls `predict` with a table of pandas, and does nothing else: MODEL PORT BODY_FILE."""

MATRIX = """
import sys
import numpy, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
weights = numpy.load(sys.argv[1])
async def infer(request):
    tensor = (await request.json())["inputs"][0]
    scores = numpy.array(tensor["data"]).reshape(tensor["shape"]) @ weights[:-1] + weights[-1]
    said = {"name": "predict", "shape": [len(scores), 1], "datatype": "INT64"}
    return JSONResponse({"model_name": "m", "outputs": [{**said, "data": (scores > 0).astype(int).tolist()}]})
async def ready(request):
    return JSONResponse({})
app = Starlette(routes=[Route("/infer", infer, methods=["POST"]), Route("/ready", ready)])
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False, lifespan="off", loop="uvloop")
"""
"""Starlette on uvicorn, a product of matrices in place of a model; nothing checked, counted or kept: WEIGHTS PORT."""

SAVE_FOR_MLFLOW = """
import sys
import mlflow.sklearn, numpy
from sklearn.linear_model import LogisticRegression
inputs, outputs = numpy.load(sys.argv[1]), numpy.load(sys.argv[2])
mlflow.sklearn.save_model(LogisticRegression().fit(inputs, outputs), sys.argv[3])
"""
"""The regression alone as MLflow keeps it: INPUTS OUTPUTS FOLDER."""

SWAPPING = """
import os, socket, sys, threading
from runner.serve.settings import Served, Settings
from runner.serve.supervisor import Supervisor
listening = socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=512)
listening.setblocking(False)
ended = threading.Semaphore(0)
def tell(event):
    if event["event"] in ("serving", "drained"):
        ended.release()
supervisor = Supervisor(listening, tell, environ=os.environ)
threading.Thread(target=supervisor.run, args=(threading.Event(),), daemon=True).start()
version = 0
def swap():
    global version
    version += 1
    supervisor.swap(Settings(Served(sys.argv[1], "m", str(version))))
    ended.acquire()
swap()
print("serving", flush=True)
for line in sys.stdin:
    swap()
    ended.acquire()
    print("swapped", flush=True)
os._exit(0)
"""
"""Our supervisor, which swaps the model for itself with each line that it reads: MODEL PORT."""
