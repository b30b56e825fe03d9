"""The peer of `benchmarks.serving`: a simple handler with FastAPI and onnxruntime."""

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
app = FastAPI()


class Request(BaseModel):
    observation: list[float]


class Answer(BaseModel):
    action: int


@app.post("/select_action")
async def select_action(request: Request) -> Answer:
    observation = np.asarray([request.observation], np.float32)
    (action,) = session.run(["action"], {"observations": observation})
    return Answer(action=int(action[0]))


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
