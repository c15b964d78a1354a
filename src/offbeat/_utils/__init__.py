"""What every layer may use, and what knows nothing of fits.

`lazy` imports public names at their first use. `extras` says which extra to install for what is missing. `atomic`
writes files whole or not at all. `codec` turns records into JSON and arrays and back, and `old_names` knows what their
classes were called before.
"""
