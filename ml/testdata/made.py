"""Writes made.json: scikit-learn's answers on data that made_test.go makes too.

Run: python3 made.py > made.json   (scikit-learn 1.2.1, Debian 12's python3-sklearn)

Both sides draw from SplitMix64, so that no data needs to be stored. Values are rounded to
thousandths; equal distances are then rare, and made_test.go says if there are any. The
radial machine is also fitted on the sets of sklearn.json, which has the linear one only.
"""
import json
import math

import numpy as np
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) / (1 << 53)


def make(seed, features, classes, rows, spread):
    """Rows around one centre a class; feature j is scaled by 1 + j % 5."""
    r = SplitMix64(seed)
    centre = [[r.uniform() * 2 - 1 for _ in range(features)] for _ in range(classes)]
    x, y = [], []
    for i in range(rows):
        c = i % classes
        row = []
        for j in range(features):
            noise = r.uniform() + r.uniform() + r.uniform() + r.uniform() - 2
            v = (centre[c][j] + noise * spread) * (1 + j % 5)
            row.append(math.floor(v * 1000 + 0.5) / 1000)
        x.append(row)
        y.append(c)
    return np.array(x), np.array(y)


def answers(x, y, train):
    a, b = x[:train], x[train:]
    mean, sd = a.mean(axis=0), a.std(axis=0)
    out = {}
    for suffix, p, q in (("", a, b), ("_standardised", (a - mean) / sd, (b - mean) / sd)):
        for name, model in (
            ("knn5", KNeighborsClassifier(5)),
            ("svc_linear", SVC(kernel="linear")),
            ("svc_rbf", SVC(kernel="rbf")),
        ):
            got = model.fit(p, y[:train]).predict(q)
            out[name + suffix] = {"accuracy": float((got == y[train:]).mean()), "predictions": got.tolist()}
    scores = [
        RandomForestClassifier(100, random_state=s).fit(a, y[:train]).score(b, y[train:]) for s in range(5)
    ]
    out["random_forest_100"] = {"accuracy_mean_5_seeds": sum(scores) / len(scores)}
    return out


def load(name, labels):
    """Reads a set of sklearn.json; classes are indexes into its labels."""
    path = "../data/iris.csv" if name == "iris" else name + ".csv"
    rows = [line.split(",") for line in open(path).read().split()[1:]]
    return np.array([[float(v) for v in r[:-1]] for r in rows]), np.array([labels.index(r[-1]) for r in rows])


def main():
    sets = {}
    for name, seed, features, classes, rows, train, spread in (
        ("64_features_10_classes", 64, 64, 10, 700, 500, 2.0),
        ("20_features_4_classes", 20, 20, 4, 600, 400, 1.3),
    ):
        x, y = make(seed, features, classes, rows, spread)
        sets[name] = {
            "seed": seed, "features": features, "classes": classes, "rows": rows, "train": train, "spread": spread,
            "sum": float(x.sum()), "models": answers(x, y, train),
        }
    rbf = {}
    for name, split in json.load(open("sklearn.json"))["data"].items():
        x, y = load(name, split["labels"])
        a, b = x[split["train_rows"]], x[split["test_rows"]]
        mean, sd = a.mean(axis=0), a.std(axis=0)
        for suffix, p, q in (("", a, b), ("_standardised", (a - mean) / sd, (b - mean) / sd)):
            got = SVC(kernel="rbf").fit(p, y[split["train_rows"]]).predict(q)
            rbf.setdefault(name, {})["svc_rbf" + suffix] = {"predictions": got.tolist()}
    print(json.dumps({"made_with": "scikit-learn " + sklearn.__version__, "data": sets, "reference_rbf": rbf}))


main()
