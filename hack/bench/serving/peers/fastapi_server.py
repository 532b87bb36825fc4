"""FastAPI and scikit-learn: the plain code that everybody writes. Started by uvicorn."""

from __future__ import annotations

import os

import joblib
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = joblib.load(os.environ["BENCH_MODEL"])


class Rows(BaseModel):
    instances: list[list[float]]


@app.post("/predict")
async def predict(rows: Rows) -> dict[str, list[int]]:
    return {"predictions": model.predict(rows.instances).tolist()}


@app.post("/predict-on-thread")
def predict_on_thread(rows: Rows) -> dict[str, list[int]]:
    return {"predictions": model.predict(rows.instances).tolist()}
