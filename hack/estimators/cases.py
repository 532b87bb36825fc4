"""Estimators and pipelines of scikit-learn, each with the data that it is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import calibration as cal
from sklearn import compose, cross_decomposition, discriminant_analysis, dummy, isotonic, kernel_ridge, model_selection
from sklearn import decomposition as dec
from sklearn import ensemble as ens
from sklearn import feature_selection as sel
from sklearn import gaussian_process as gp
from sklearn import impute as imp
from sklearn import kernel_approximation as approx
from sklearn import linear_model as lin
from sklearn import multiclass as multi
from sklearn import naive_bayes as nb
from sklearn import neighbors as near
from sklearn import neural_network as net
from sklearn import preprocessing as pre
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVC, NuSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

NUMBERS = ["Cylinders", "Displacement", "Horsepower", "Weight_in_lbs", "Acceleration"]
TEXTS = ["Brand", "Origin"]


@dataclass(frozen=True)
class Case:
    """An estimator to be tried, not fitted. auto: behind the preprocessing of the built-in train stage."""

    name: str
    data: str
    estimator: Any
    auto: bool = False
    targets: int = 1


def plain(data: str, *estimators: Any) -> list[Case]:
    """Return cases that are called as scikit-learn shows them."""
    return [Case(" ".join(repr(one).split()), data, one) for one in estimators]


def auto(data: str, *estimators: Any) -> list[Case]:
    """Return cases behind the automatic preprocessing."""
    return [Case(f"Auto, {' '.join(repr(one).split())}", data, one, auto=True) for one in estimators]


def scaled(*steps: Any) -> Any:
    return make_pipeline(pre.StandardScaler(), *steps)


def one_hot(**parameters: Any) -> Any:
    return pre.OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **parameters})


def ordinal() -> Any:
    return pre.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def bins() -> Any:
    return pre.KBinsDiscretizer(encode="onehot-dense", quantile_method="averaged_inverted_cdf")


def boosting(**parameters: Any) -> Any:
    return ens.HistGradientBoostingRegressor(max_iter=10, random_state=0, **parameters)


def columns(estimator: Any, texts: Any) -> Any:
    """Return a pipeline that selects columns of the cars by name; the texts go through a transformer."""
    steps = [("numbers", imp.SimpleImputer(strategy="median"), NUMBERS), ("texts", texts, TEXTS)]
    return make_pipeline(compose.ColumnTransformer(steps), estimator)


def numbers_regressors() -> list[Case]:
    """Regressors by themselves, on numbers."""
    return plain(
        "diabetes",
        lin.LinearRegression(), lin.Ridge(), lin.RidgeCV(), lin.Lasso(), lin.LassoLarsIC(), lin.ElasticNet(), lin.Lars(),
        lin.OrthogonalMatchingPursuit(), lin.BayesianRidge(), lin.ARDRegression(), lin.HuberRegressor(max_iter=1000),
        lin.TheilSenRegressor(max_subpopulation=300, random_state=0), lin.RANSACRegressor(random_state=0),
        lin.QuantileRegressor(alpha=0.1), lin.PoissonRegressor(max_iter=50), lin.GammaRegressor(max_iter=50),
        lin.TweedieRegressor(max_iter=50, power=1.5),
        DecisionTreeRegressor(random_state=0), ExtraTreeRegressor(random_state=0),
        ens.RandomForestRegressor(n_estimators=20, random_state=0),
        ens.ExtraTreesRegressor(n_estimators=20, random_state=0),
        ens.GradientBoostingRegressor(n_estimators=50, random_state=0),
        boosting(),
        ens.AdaBoostRegressor(n_estimators=10, random_state=0), ens.BaggingRegressor(random_state=0),
        near.KNeighborsRegressor(), near.KNeighborsRegressor(p=1, weights="distance"),
        near.RadiusNeighborsRegressor(radius=200.0),
        cross_decomposition.PLSRegression(), dummy.DummyRegressor(strategy="median"),
        ens.VotingRegressor([("r", lin.Ridge()), ("t", DecisionTreeRegressor(max_depth=4, random_state=0))]),
        ens.StackingRegressor([("r", lin.Ridge()), ("t", DecisionTreeRegressor(max_depth=3, random_state=0))]),
        compose.TransformedTargetRegressor(lin.Ridge(), func=np.log1p, inverse_func=np.expm1),
        compose.TransformedTargetRegressor(lin.Ridge(), transformer=pre.StandardScaler()),
        model_selection.GridSearchCV(lin.Ridge(), {"alpha": [0.1, 1.0]}, cv=3),
    )  # fmt: skip


def numbers_pipelines() -> list[Case]:
    """Regressors behind transformers of numbers."""
    kernel = gp.kernels.RBF(3.0) + gp.kernels.WhiteKernel()
    best = sel.SelectKBest(sel.f_regression, k=1)
    made = {
        "SGDRegressor": scaled(lin.SGDRegressor(random_state=0)),
        "SVR": scaled(SVR(C=100)),
        "NuSVR": scaled(NuSVR(C=100)),
        "LinearSVR": scaled(LinearSVR(random_state=0)),
        "MLPRegressor": scaled(
            net.MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", max_iter=200, random_state=0)
        ),
        "GaussianProcessRegressor": scaled(gp.GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)),
        "KernelRidge(rbf)": scaled(kernel_ridge.KernelRidge(kernel="rbf", gamma=0.05)),
        "Nystroem, Ridge": scaled(approx.Nystroem(n_components=30, random_state=0), lin.Ridge()),
        "PCA, Ridge": scaled(dec.PCA(4), lin.Ridge()),
        "PolynomialFeatures, Ridge": scaled(pre.PolynomialFeatures(2), lin.Ridge()),
    }
    found = {f"StandardScaler, {name}": one for name, one in made.items()}
    transformers = [
        ("PolynomialFeatures", pre.PolynomialFeatures(2)), ("SplineTransformer", pre.SplineTransformer()),
        ("KBinsDiscretizer", bins()), ("TruncatedSVD", dec.TruncatedSVD(4, random_state=0)),
        ("SelectKBest", sel.SelectKBest(sel.f_regression, k=4)), ("VarianceThreshold", sel.VarianceThreshold(1.0)),
        ("SelectFromModel(Lasso)", sel.SelectFromModel(lin.Lasso())), ("MinMaxScaler", pre.MinMaxScaler()),
        ("RobustScaler", pre.RobustScaler()), ("MaxAbsScaler", pre.MaxAbsScaler()),
        ("PowerTransformer", pre.PowerTransformer()), ("PowerTransformer(box-cox)", pre.PowerTransformer("box-cox")),
        ("QuantileTransformer(20)", pre.QuantileTransformer(n_quantiles=20)),
        ("QuantileTransformer(200)", pre.QuantileTransformer(n_quantiles=200)),
        ("FunctionTransformer(log1p)", pre.FunctionTransformer(np.log1p)),
        ("FeatureUnion(PCA, SelectKBest)", FeatureUnion([("p", dec.PCA(3)), ("k", best)])),
    ]  # fmt: skip
    found |= {f"{name}, Ridge": make_pipeline(one, lin.Ridge()) for name, one in transformers}
    found["SelectKBest(k=1), IsotonicRegression"] = make_pipeline(
        best, isotonic.IsotonicRegression(out_of_bounds="clip")
    )
    cases = [Case(name, "diabetes", one) for name, one in found.items()]
    return [*cases, Case("Ridge() with two targets", "diabetes", lin.Ridge(), targets=2)]


def gap_regressors() -> list[Case]:
    """Regressors of numbers that may be missing."""
    found = {
        "HistGradientBoostingRegressor": boosting(),
        "RandomForestRegressor": ens.RandomForestRegressor(10, random_state=0),
        "SimpleImputer, HistGradientBoostingRegressor": make_pipeline(imp.SimpleImputer(), boosting()),
        "KNNImputer, Ridge": make_pipeline(imp.KNNImputer(), lin.Ridge()),
        "SimpleImputer(add_indicator), Ridge": make_pipeline(imp.SimpleImputer(add_indicator=True), lin.Ridge()),
    }
    return [Case(name, "cars, numbers", one) for name, one in found.items()]


def stamp_regressors() -> list[Case]:
    """Regressors of numbers that are too great for single precision."""
    return plain(
        "weather", lin.Ridge(), DecisionTreeRegressor(random_state=0), boosting(), near.KNeighborsRegressor()
    ) + auto("weather", lin.Ridge(), ens.RandomForestRegressor(n_estimators=10, random_state=0))


def mixed_regressors() -> list[Case]:
    """Regressors of numbers and text."""
    cases = auto(
        "cars",
        lin.LinearRegression(), lin.Ridge(), ens.RandomForestRegressor(n_estimators=20, random_state=0),
        ens.GradientBoostingRegressor(n_estimators=50, random_state=0), boosting(), SVR(C=10), near.KNeighborsRegressor(),
        net.MLPRegressor(hidden_layer_sizes=(10,), max_iter=200, random_state=0, solver="lbfgs"),
    ) + auto(
        "cars with gaps", lin.Ridge(), ens.RandomForestRegressor(n_estimators=10, random_state=0), boosting()
    )  # fmt: skip
    rare = one_hot(min_frequency=8, handle_unknown="infrequent_if_exist")
    frequent, constant = (
        imp.SimpleImputer(strategy="most_frequent"),
        imp.SimpleImputer(strategy="constant", fill_value="-"),
    )
    by_type = compose.ColumnTransformer(
        [
            ("numbers", imp.SimpleImputer(), compose.make_column_selector(dtype_include="number")),
            ("texts", one_hot(), compose.make_column_selector(dtype_exclude="number")),
        ]
    )
    passing = compose.ColumnTransformer(
        [("texts", one_hot(), TEXTS), ("gaps", imp.SimpleImputer(), ["Horsepower"])], remainder="passthrough"
    )
    by_column = compose.ColumnTransformer(
        [
            ("bins", bins(), ["Weight_in_lbs"]),
            ("curve", pre.SplineTransformer(), ["Acceleration"]),
            ("t", one_hot(), TEXTS),
        ]
    )
    numbers = compose.ColumnTransformer([("numbers", one_hot(), ["Cylinders"]), ("texts", one_hot(), TEXTS)])
    found = {
        "OneHotEncoder; Ridge": columns(lin.Ridge(), one_hot()),
        "OneHotEncoder(min_frequency); Ridge": columns(lin.Ridge(), rare),
        "OneHotEncoder(drop=first); Ridge": columns(lin.Ridge(), one_hot(drop="first")),
        "OneHotEncoder, refusing new text; Ridge": columns(lin.Ridge(), one_hot(handle_unknown="error")),
        "OrdinalEncoder; RandomForestRegressor": columns(ens.RandomForestRegressor(10, random_state=0), ordinal()),
        "OrdinalEncoder; HistGradientBoostingRegressor, categories": columns(
            boosting(categorical_features=[5, 6]), ordinal()
        ),
        "TargetEncoder; Ridge": columns(lin.Ridge(), pre.TargetEncoder(random_state=0)),
        "OneHotEncoder, the rest as it is; GradientBoostingRegressor": make_pipeline(
            passing, ens.GradientBoostingRegressor(n_estimators=20, random_state=0)
        ),
        "numbers as categories; Ridge": make_pipeline(numbers, lin.Ridge()),
        "KBinsDiscretizer, SplineTransformer; SVR": make_pipeline(by_column, SVR()),
        "chosen by type; Ridge": make_pipeline(by_type, lin.Ridge()),
    }
    cases += [Case(f"Columns: {name}", "cars", one) for name, one in found.items()]
    gaps = {
        "most frequent text, OneHotEncoder; Ridge": make_pipeline(frequent, one_hot()),
        "constant text, OneHotEncoder; Ridge": make_pipeline(constant, one_hot()),
        "OneHotEncoder, a gap is a category; Ridge": one_hot(),
        "OrdinalEncoder, a gap is a gap; Ridge": make_pipeline(ordinal(), imp.SimpleImputer()),
    }
    cases += [Case(f"Columns: {name}", "cars with gaps", columns(lin.Ridge(), one)) for name, one in gaps.items()]
    voting = ens.VotingRegressor([("r", columns(lin.Ridge(), one_hot())), ("h", columns(boosting(), ordinal()))])
    target = compose.TransformedTargetRegressor(
        columns(near.KNeighborsRegressor(), one_hot()), transformer=pre.StandardScaler()
    )
    return [
        *cases,
        Case("VotingRegressor of two pipelines with columns", "cars", voting),
        Case("TransformedTargetRegressor of a pipeline with columns", "cars", target),
        Case("OneHotEncoder, Ridge", "yields", make_pipeline(one_hot(), lin.Ridge())),
        Case("OneHotEncoder (sparse), Ridge", "yields", make_pipeline(one_hot(sparse_output=True), lin.Ridge())),
    ]


def plain_classifiers() -> list[Case]:
    """Classifiers by themselves, on numbers."""
    return plain(
        "iris",
        lin.LogisticRegression(max_iter=500), lin.RidgeClassifier(), lin.SGDClassifier(loss="log_loss", random_state=0),
        lin.SGDClassifier(random_state=0), lin.Perceptron(random_state=0),
        DecisionTreeClassifier(random_state=0), ExtraTreeClassifier(random_state=0),
        ens.RandomForestClassifier(n_estimators=20, random_state=0),
        ens.ExtraTreesClassifier(n_estimators=20, random_state=0),
        ens.GradientBoostingClassifier(n_estimators=10, random_state=0),
        ens.HistGradientBoostingClassifier(max_iter=5, random_state=0),
        ens.AdaBoostClassifier(n_estimators=10, random_state=0), ens.BaggingClassifier(random_state=0),
        near.KNeighborsClassifier(), near.NearestCentroid(), nb.GaussianNB(),
        discriminant_analysis.LinearDiscriminantAnalysis(), discriminant_analysis.QuadraticDiscriminantAnalysis(),
        dummy.DummyClassifier(), SVC(),
    ) + plain(
        "wine", DecisionTreeClassifier(random_state=0), ens.HistGradientBoostingClassifier(max_iter=5, random_state=0),
        ens.RandomForestClassifier(n_estimators=20, random_state=0), near.KNeighborsClassifier(), nb.GaussianNB(),
    ) + plain(
        "digits", nb.MultinomialNB(), nb.ComplementNB(), nb.BernoulliNB(binarize=8.0),
        ens.RandomForestClassifier(max_depth=8, n_estimators=20, random_state=0),
    ) + plain(
        "tumours", lin.LogisticRegression(max_iter=5000), DecisionTreeClassifier(random_state=0),
        ens.RandomForestClassifier(n_estimators=20, random_state=0),
        ens.GradientBoostingClassifier(n_estimators=10, random_state=0),
        ens.HistGradientBoostingClassifier(max_iter=10, random_state=0),
    )  # fmt: skip


def classifier_pipelines() -> list[Case]:
    """Classifiers behind transformers, and of other classifiers."""
    both = [("n", nb.GaussianNB()), ("t", DecisionTreeClassifier(max_depth=3, random_state=0))]
    linear = LinearSVC(random_state=0)
    found = {
        "LogisticRegression": lin.LogisticRegression(),
        "SVC(probability)": SVC(probability=True, random_state=0),
        "NuSVC": NuSVC(),
        "LinearSVC": linear,
        "MLPClassifier": net.MLPClassifier((10,), max_iter=50, random_state=0),
        "GaussianProcessClassifier": gp.GaussianProcessClassifier(optimizer=None),
        "CalibratedClassifierCV(LinearSVC)": cal.CalibratedClassifierCV(linear, cv=3),
        "CalibratedClassifierCV(tree, isotonic)": cal.CalibratedClassifierCV(
            DecisionTreeClassifier(max_depth=2, random_state=0), method="isotonic", cv=3
        ),
        "OneVsRestClassifier(LogisticRegression)": multi.OneVsRestClassifier(lin.LogisticRegression()),
        "OneVsOneClassifier(LinearSVC)": multi.OneVsOneClassifier(linear),
        "RadiusNeighborsClassifier": near.RadiusNeighborsClassifier(radius=5.0),
        "VotingClassifier(soft)": ens.VotingClassifier(both, voting="soft"),
        "VotingClassifier(hard)": ens.VotingClassifier(both),
        "StackingClassifier": ens.StackingClassifier(both, cv=3),
        "SelectKBest, LogisticRegression": make_pipeline(sel.SelectKBest(k=5), lin.LogisticRegression()),
    }
    cases = [Case(f"StandardScaler, {name}", "wine", scaled(one)) for name, one in found.items()]
    texts = make_pipeline(pre.OrdinalEncoder(), nb.CategoricalNB())
    two = lin.LogisticRegression(max_iter=500)
    return [
        *cases,
        Case("StandardScaler, PCA, SVC", "digits", scaled(dec.PCA(8), SVC())),
        Case("StandardScaler, SVC", "tumours", scaled(SVC())),
        Case("StandardScaler, LinearSVC", "tumours", scaled(linear)),
        Case("OrdinalEncoder, CategoricalNB", "sites", texts),
        Case("OneHotEncoder, MultinomialNB", "sites", make_pipeline(one_hot(), nb.MultinomialNB())),
        *auto("two origins", two, ens.GradientBoostingClassifier(n_estimators=10, random_state=0)),
        *auto(
            "origins", two, ens.RandomForestClassifier(n_estimators=20, random_state=0),
            ens.GradientBoostingClassifier(n_estimators=10, random_state=0),
            ens.HistGradientBoostingClassifier(max_iter=5, random_state=0),
            SVC(), near.KNeighborsClassifier(), nb.GaussianNB(),
        ),
    ]  # fmt: skip


def all_cases() -> list[Case]:
    """Return every case."""
    return [
        *numbers_regressors(), *numbers_pipelines(), *gap_regressors(), *stamp_regressors(), *mixed_regressors(),
        *plain_classifiers(), *classifier_pipelines(),
    ]  # fmt: skip
