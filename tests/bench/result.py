# SPDX-License-Identifier: Apache-2.0
"""What every kind of load gives, and how its clients trust."""
import dataclasses
import ssl


@dataclasses.dataclass
class Result:
    """`requests` counts what the scenario's `unit` says. One with faults must not become a figure. `latency`: microseconds
    of the 50th, 99th and 99.9th percentile, or nothing where the load does not tell them."""
    requests: int = 0
    seconds: float = 0.0
    latency: tuple = ()
    faults: list = dataclasses.field(default_factory=list)


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
