"""The commands of ``offbeat``, one module each, and what they share.

Read in this order:

1. `options` and `terminal`: options that several commands have; exit codes, errors and output.
2. `info` and `bench`: the shortest commands.
3. `fit`, with `problem_options` (loss and penalty), `training_data` (rows of a table), `holdout` (rows for the test),
   `fitting` (the fit and its model), `scoring` (metrics) and `summary` (what is printed and reported).
4. `demo`: a fit of flights. `predict`: a saved model on new rows. `standard_input`: tables that come through a pipe.
5. `simulate`, with `cluster_options` (texts of its options), `simulation_plan` (what is compared),
   `simulation_variants` (the runs), `simulation_certificates` (their gaps over time) and `comparing` (the page).
"""
