"""Trains a random forest on the numeric columns of a csv and writes it as ONNX.

usage: train.py --data cars.csv --target Miles_per_Gallon --out model.onnx [--trees 100]
"""

import argparse

import pandas as pd
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline


def main() -> None:
    """Train, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--trees", type=int, default=100)
    options = parser.parse_args()

    rows = pd.read_csv(options.data)
    features = rows.drop(columns=options.target).select_dtypes("number").astype("float32")
    train_x, test_x, train_y, test_y = train_test_split(features, rows[options.target], random_state=0)

    model = make_pipeline(SimpleImputer(), RandomForestRegressor(options.trees, random_state=0))
    model.fit(train_x.to_numpy(), train_y)
    print(f"r2 on a quarter of the rows: {model.score(test_x.to_numpy(), test_y):.3f}")

    graph = to_onnx(model, train_x.to_numpy()[:1])
    with open(options.out, "wb") as stream:
        stream.write(graph.SerializeToString())


if __name__ == "__main__":
    main()
