"""Converts TFP objects to the plain data of a `.keras` file and back, running no code from it."""

from tfp_flows.saving._decode import FORMAT_VERSION, check_version, decode
from tfp_flows.saving._encode import encode
from tfp_flows.saving._limits import reading
from tfp_flows.saving._names import custom_object_scope, find_registered, is_registered
from tfp_flows.saving._pickling import restore

__all__ = [
    "FORMAT_VERSION",
    "check_version",
    "custom_object_scope",
    "decode",
    "encode",
    "find_registered",
    "is_registered",
    "reading",
    "restore",
]
