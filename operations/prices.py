"""List prices of what a stage uses besides machines and functions, us-east-1, in US dollars.

Source: the services' public pricing pages, on the day of `nvfp4_ddim_contracts.pricing`; without
free tiers, so that a small stage costs less than this says. Machines and functions stand there.
"""

__all__ = [
    "ALARM_USD_PER_MONTH",
    "API_USD_PER_REQUEST",
    "CDN_USD_PER_GB",
    "COMPOSITE_ALARM_USD_PER_MONTH",
    "DASHBOARD_USD_PER_MONTH",
    "KEY_USD_PER_MONTH",
    "LOGS_USD_PER_GB",
    "METRIC_USD_PER_MONTH",
    "SECRET_USD_PER_MONTH",
    "STORAGE_USD_PER_GB_MONTH",
    "STORAGE_USD_PER_PUT",
    "TABLE_USD_PER_READ_UNIT",
    "TABLE_USD_PER_WRITE_UNIT",
]

_MILLION = 1_000_000

KEY_USD_PER_MONTH = 1.00
SECRET_USD_PER_MONTH = 0.40
ALARM_USD_PER_MONTH = 0.10
COMPOSITE_ALARM_USD_PER_MONTH = 0.50
DASHBOARD_USD_PER_MONTH = 3.00
METRIC_USD_PER_MONTH = 0.30
LOGS_USD_PER_GB = 0.50
API_USD_PER_REQUEST = 3.50 / _MILLION
TABLE_USD_PER_WRITE_UNIT = 0.625 / _MILLION
TABLE_USD_PER_READ_UNIT = 0.125 / _MILLION
STORAGE_USD_PER_PUT = 5.00 / _MILLION
STORAGE_USD_PER_GB_MONTH = 0.023
CDN_USD_PER_GB = 0.085
