"""Work that SageMaker runs once and ends: quantising a dropped model, training one.

Containers of the inference image; SageMaker's folders below `/opt/ml` are all that they touch.
"""
