"""Compiled loops over plain arrays: everything that visits rows or entries one at a time.

Reading order: ``compiled`` (how a loop is compiled and kept on disk), ``protocol`` (how a loop calls a loss or a
penalty), ``arguments`` (the records that loops take), ``separable`` (penalties on vectors). Then what the solvers need:

- ``evaluation``: loss, gradient and Hessian at a point, in one pass over the rows; ``classes``: the same for several
  classes; ``products``: products with the Hessian;
- ``moments``: means and deviations of columns, and columns stored about their centres;
- ``gram`` and ``coordinate``: coordinate descent on a Gram matrix, and on columns of the data;
- ``sdca``: dual coordinate ascent; ``saga`` and ``saga_sparse``: steps along single rows; ``row_sums``: the sums over
  all rows that these two start from and are certified by; ``scalar_root`` and ``shuffle``: their parts;
- ``minibatch`` and ``local_sgd``: stochastic gradient steps of the solvers that are there for comparison;
- ``triangular`` and ``intrinsics``: what NumPy and Numba lack.
"""
