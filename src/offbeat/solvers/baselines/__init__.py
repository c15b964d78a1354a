"""Methods that are here to compare with: gradient descent, SGD, Hogwild, averages of gradients and of models.

One file a method; `minibatch` is what the stochastic ones share.
"""
