"""TFP objects as plain data in a `.keras` file, and back, without running code of the file."""

from tfp_flows.saving._decode import FORMAT_VERSION, check_version, decode
from tfp_flows.saving._encode import encode
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
    "restore",
]
