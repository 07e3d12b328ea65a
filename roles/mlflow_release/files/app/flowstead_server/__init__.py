"""Flowstead's app around MLflow's own: few requests at a time, logins before bodies, bounds, clean refusals.

MLflow finds it through its own extension point, the entry point group ``mlflow.app``. Each part is plain ASGI
(https://asgi.readthedocs.io) and knows nothing of MLflow, but ``around_mlflow``.
"""
