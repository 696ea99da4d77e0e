#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No figure comes from wrong answers: what wrk and h2load print is read and refused as it must be."""
import sys
import tempfile

import load

WRK = """Running 1s test @ http://127.0.0.1:18080/128
  1 threads and 64 connections
  139382 requests in 1.00s, {read} read
{extra}Requests/sec: 138937.40
"""
H2LOAD = """Application protocol: {protocol}
finished in 102.31ms, 97742.16 req/s, 20.88MB/s
requests: 10000 total, 10000 started, 10000 done, {good} succeeded, {failed} failed, 0 errored, {timeout} timeout
status codes: {ok} 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 2.14MB (2240000) total, 634.77KB (650000) headers (space savings 0.00%), 1.22MB ({data}) data
"""
RIGHT = {"protocol": "h2", "good": 10000, "failed": 0, "timeout": 0, "ok": 10000, "data": 1280000}


def wrk(read="29.78MB", extra=""):
    return load.read_wrk(WRK.format(read=read, extra=extra), 224, 64)


def h2load(**changes):
    return load.read_h2load(H2LOAD.format(**{**RIGHT, **changes}), 128)


# story, result, whether it may become a figure
STORIES = [
    ("wrk, all right", wrk(), True),
    ("wrk, bodies missing", wrk(read="12.77MB"), False),
    ("wrk, answers twice as long", wrk(read="59.56MB"), False),
    ("wrk, unfinished answers at the end", load.read_wrk("  2000 requests in 1.00s, 32.26MB read", 16500, 64), True),
    ("wrk, more than can be unfinished", load.read_wrk("  2000 requests in 1.00s, 34.00MB read", 16500, 64), False),
    ("wrk, errors of sockets", wrk(extra="  Socket errors: connect 0, read 3, write 0, timeout 0\n"), False),
    ("wrk, statuses", wrk(extra="  Non-2xx or 3xx responses: 140246\n"), False),
    ("wrk, nothing", load.read_wrk("unable to connect to 127.0.0.1:18081 Connection refused\n", 224, 64), False),
    ("h2load, all right", h2load(), True),
    ("h2load, bodies cut by one byte", h2load(data=1279999), False),
    ("h2load, failures", h2load(good=9999, failed=1), False),
    ("h2load, time-outs", h2load(timeout=1), False),
    ("h2load, statuses", h2load(ok=9999), False),
    ("h2load, another protocol", h2load(protocol="http/1.1"), False),
    ("h2load, nothing", load.read_h2load("", 128), False),
    ("curl, down", load.read_curl("200 1048576 0 0.5", 1048576), True),
    ("curl, up", load.read_curl("200 0 1048576 0.5", 1048576), True),
    ("curl, a byte short", load.read_curl("200 1048575 0 0.5", 1048576), False),
    ("curl, status", load.read_curl("502 1048576 0 0.5", 1048576), False),
    ("resume, all right", load.read_own("6000 2.512\n"), True),
    ("resume, a full handshake", load.read_own("a session was not resumed\n"), False),
    ("resume, nothing", load.read_own(""), False),
    ("paced, all right", load.read_own("6000 2.512 88 220 1467\n"), True),
    ("paced, percentiles missing", load.read_own("6000 2.512 88\n"), False),
    ("curl, nothing", load.read_curl("", 1048576), False),
]


def main():
    wrong = [f"{story}: {result}" for story, result, right in STORIES if (not result.faults) != right]
    if (wrk().requests, wrk().seconds) != (139382, 1.0):
        wrong.append(f"wrk's figures: {wrk()}")
    if (h2load().requests, round(h2load().seconds, 5)) != (10000, 0.10231):
        wrong.append(f"h2load's figures: {h2load()}")
    if load.read_own("6000 2.512 88 220 1467\n").latency != (88, 220, 1467):
        wrong.append("the percentiles of paced")
    if wrk(extra="percentiles 225 505 1208\n").latency != (225, 505, 1208):
        wrong.append("the percentiles of wrk")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as log:
        log.write("".join(f"1795678174134660\t200\t{latency}\n" for latency in range(1000, 0, -1)))
        log.flush()
        if load.read_log(log.name) != (501, 991, 1000):
            wrong.append(f"the percentiles of h2load's log: {load.read_log(log.name)}")
    print("\n".join(wrong) or f"{len(STORIES)} stories behave")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
