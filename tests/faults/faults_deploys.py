# SPDX-License-Identifier: Apache-2.0
"""New code, new configurations, new binaries, under load."""
import os
import shutil
import time

import edge as edge_module
import procs
from chains import EdgeproxyChain, Gunicorn, NginxGunicorn, UvicornWorkers
from faults_processes import replaced
from plan import Bars, fault
from procs import within

CAN_HUP = [NginxGunicorn, Gunicorn, UvicornWorkers]


def new_generation(chain, before, seconds=60):
    """Waits until nobody of `before` serves any more."""
    if isinstance(chain, EdgeproxyChain):
        return replaced(chain, before, seconds)
    try:
        within(seconds, lambda: len(set(chain.workers()) - set(before)) >= 2 and not set(chain.workers()) & set(before), "new workers")
    except TimeoutError:
        pass  # what came of it stands in the figures


@fault("hup", "deploys", Bars(gap=0.1), CAN_HUP)
def hup(chain, client):
    """HUP: new workers under load"""
    before = chain.workers()
    chain.hup()
    new_generation(chain, before)


@fault("hup-3", "deploys", Bars(gap=0.1), CAN_HUP)
def hup_three(chain, client):
    """three HUPs a second apart"""
    before = chain.workers()
    for _ in range(3):
        chain.hup()
        time.sleep(1)
    new_generation(chain, before)


@fault("hup-post", "deploys", Bars(gap=0.1), CAN_HUP, load={"method": "POST", "ms": 20})
def hup_post(chain, client):
    """HUP under POSTs: none lost, none executed twice"""
    before = chain.workers()
    chain.hup()
    new_generation(chain, before)


@fault("hup-slow-import", "deploys", Bars(gap=0.2), CAN_HUP)
def hup_slow(chain, client):
    """HUP with code that takes 5 s to import"""
    before = chain.workers()
    chain.folder.turn(IMPORT_SECONDS=5)
    chain.hup()
    new_generation(chain, before, 90)


@fault("hup-broken-code", "deploys", Bars(gap=0.2), CAN_HUP)
def hup_broken(chain, client):
    """HUP with code that does not import: the old code serves on, the error is told"""
    before = set(chain.workers())
    chain.folder.break_code()
    chain.hup()
    if isinstance(chain, EdgeproxyChain):
        chain.edge.wait_log("SyntaxError", 30)
        time.sleep(1)
        assert before <= set(chain.workers()), "an old worker was given up"
    else:
        time.sleep(5)


@fault("hup-200", "deploys", Bars(gap=0.5))
def hup_often(chain, client):
    """200 HUPs, ten a second: coalesced, one proxy process, no more memory"""
    before, proxy = procs.resident_bytes(chain.proxy()), chain.proxy()
    for _ in range(200):
        chain.hup()
        time.sleep(0.1)
    within(60, lambda: len(chain.workers()) == 2, "two workers")
    chain.settle()
    assert chain.proxy() == proxy, "another proxy process"
    grown = procs.resident_bytes(proxy) - before
    assert grown < 16 << 20, f"the proxy grew by {grown >> 20} MiB"


@fault("restart-pool", "deploys", Bars(gap=0.1))
def restart_pool(chain, client):
    """`edgeproxy restart app`: one worker after the other"""
    before = chain.workers()
    code, said = chain.command("restart", "app")
    assert code == 0, said
    assert not set(before) & set(chain.workers()), "an old worker is still there"
    chain.settle()


@fault("restart-unknown-pool", "deploys", Bars(gap=0.1))
def restart_unknown(chain, client):
    """`edgeproxy restart` of a pool that is not there: refused with exit code 7"""
    code, said = chain.command("restart", "nobody")
    assert code == 7, f"exit code {code}: {said}"


@fault("scale", "deploys", Bars(gap=0.1))
def scale(chain, client):
    """2 workers become 4, then 1"""
    for count in (4, 1):
        code, said = chain.command("scale", "app", str(count))
        assert code == 0, said
        within(40, lambda: len(chain.workers()) == count, f"{count} workers")
    chain.stack["pools"]["app"]["workers"] = 1


@fault("recycle", "deploys", Bars(gap=0.2), make=lambda: EdgeproxyChain({"pools": {"app": {"recycle": {"requests": 200}}}}))
def recycle(chain, client):
    """each worker is replaced after 200 requests, under load"""
    before = set(chain.workers())
    within(60, lambda: not before & set(chain.workers()), "other workers")
    moment = client.so_far()
    within(60, lambda: client.so_far() > moment + 1000, "a thousand more answers")


def reload(chain, stack, code=0):
    chain.edge.rewrite(stack)
    got, said = chain.command("reload")
    assert got == code, f"exit code {got}, not {code}: {said}"
    return said


def changed(chain, number):
    from edge import merge
    return merge(chain.stack, {"logging": {"level": "info" if number % 2 else "warn"},
                               "pools": {"app": {"queue": {"size": 1000 + number}}}})


@fault("reload-20", "deploys", Bars(gap=0.1))
def reload_some(chain, client):
    """20 configuration reloads under load: one proxy process, workers untouched"""
    reload_often(chain, 20)


@fault("reload-200", "deploys", Bars(gap=0.1))
def reload_many(chain, client):
    """200 configuration reloads under load: one proxy process, workers untouched, no more memory"""
    reload_often(chain, 200)


def reload_often(chain, times):
    reload(chain, changed(chain, 0))
    proxy, workers = chain.proxy(), set(chain.workers())
    before = procs.resident_bytes(proxy)
    for number in range(1, times + 1):
        reload(chain, changed(chain, number))
    assert chain.proxy() == proxy, "another proxy process"
    assert set(chain.workers()) == workers, "workers were replaced"
    grown = procs.resident_bytes(proxy) - before
    assert grown < 16 << 20, f"the proxy grew by {grown >> 20} MiB"


BROKEN = {
    "syntax": "listen: [\n",
    "unknown-key": {"pools": {"app": {"comand": "x"}}},
    "missing-certificate": {"tls": {"cert": "/nowhere.pem", "key": "/nowhere.key"}},
    "missing-program": {"pools": {"app": {"command": "no-such-program-here main:app"}}},
}


@fault("reload-broken", "deploys", Bars(gap=0.1))
def reload_broken(chain, client):
    """reloads of files with a mistake: refused with a reason, nothing changes"""
    from edge import merge
    workers = set(chain.workers())
    for name, wrong in BROKEN.items():
        if isinstance(wrong, str):
            chain.edge.stack.write_text(wrong)
        else:
            chain.edge.rewrite(merge(chain.stack, wrong))
        code, said = chain.command("reload")
        assert code in (3, 7), f"{name}: exit code {code}: {said}"
        assert len(said) > 20, f"{name}: no reason given"
    assert set(chain.workers()) == workers


@fault("reload-port-in-use", "deploys", Bars(gap=0.1))
def reload_port_in_use(chain, client):
    """a reload that adds a listener on a port of somebody else: refused, nothing half done"""
    import socket
    from edge import merge
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = reload(chain, merge(chain.stack, {"listeners": {"more": {"address": f"127.0.0.1:{port}"}}}), 7)
        assert str(port) in said, said


@fault("upgrade", "deploys", Bars(gap=0.2))
def upgrade(chain, client):
    """`edgeproxy upgrade` to the same binary: same pid, workers stay"""
    master, workers, proxy = chain.master(), set(chain.workers()), chain.proxy()
    code, said = chain.command("upgrade")
    assert code == 0, said
    assert chain.master() == master and set(chain.workers()) == workers
    moment = client.so_far()
    within(40, lambda: client.so_far() > moment + 500 and not procs.stat(proxy), "the end of the old proxy process")


@fault("upgrade-refused", "deploys", Bars(gap=0.1))
def upgrade_refused(chain, client):
    """`edgeproxy upgrade` while the file has a mistake: the new binary refuses it, the old one serves on, exit code 7"""
    proxy, workers = chain.proxy(), set(chain.workers())
    chain.edge.rewrite(edge_module.merge(chain.stack, BROKEN["unknown-key"]))
    code, said = chain.command("upgrade")
    assert code == 7 and len(said) > 20, f"exit code {code}: {said}"
    assert chain.proxy() == proxy and set(chain.workers()) == workers


@fault("two-reloads-at-once", "deploys", Bars(gap=0.2))
def two_reloads(chain, client):
    """two reloads at the same time: each gets a clear answer, the last file is in force"""
    import threading
    reload(chain, changed(chain, 1))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(chain.command("reload"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(code in (0, 7) for code, _ in answers) and any(code == 0 for code, _ in answers), answers
