"""Every scikit-learn estimator on its way from fitting to an answer; the reference page is made of it."""
