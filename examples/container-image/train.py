"""A train stage of one's own: a forest on the numbers of the data. It needs nothing of Modelmill."""

import argparse
import json
import os

import pandas as pd
import skops.io
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

parser = argparse.ArgumentParser()
parser.add_argument("--trees", type=int, default=100)
trees = parser.parse_args().trees

source, target = os.environ["MODELMILL_INPUT"], os.environ["MODELMILL_OUTPUT"]
with open(f"{source}/params.json") as stream:
    params = json.load(stream)
rows = pd.read_csv(f"{source}/{params['train']}", keep_default_na=False, na_values=[""])
numbers = [column["name"] for column in params["features"] if column["kind"] == "number"]

forest = RandomForestRegressor(trees, min_samples_leaf=2, oob_score=True, random_state=params["seed"])
model = make_pipeline(SimpleImputer(strategy="median"), forest)
model.fit(rows[numbers], rows[params["target"]])
print(f"{trees} trees on {len(rows)} rows and {', '.join(numbers)}: out-of-bag r2 {forest.oob_score_:.3f}")

skops.io.dump(model, f"{target}/model.skops")
# A metric of one's own, which gates may use and the version shows.
with open(os.environ["MODELMILL_METRICS"], "w") as stream:
    json.dump({"metrics": {"oob_r2": forest.oob_score_}}, stream)
