"""Baselines for comparison: gradient descent, SGD, Hogwild, dual averaging and model averaging.

Reading order: `gradient_descent` (full gradients); `minibatch` (what the stochastic methods share), `sgd`,
`dual_averaging`, `model_averaging`; `hogwild` (single rows and threads).
"""
