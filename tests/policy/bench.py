"""What asking a policy costs: `python -m tests.policy.bench`. Not run by pytest.

Per decision: the engine's own time (in one process, no pipe) against the pool's; memory of the pool; time from a killed
worker to the next decision.
"""

import ctypes
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own
import yaml

from app.core.contract import Dialect, PolicyType
from app.policy.child import Library
from app.policy.pool import OpaPool, find_library
from app.policy.prepare import Prepared, prepare
from app.policy.program import Ask
from tests.policy.asked import example, told, written

ROUNDS = 400


def main() -> None:
    """Print the table."""
    policy = example("push-default", Dialect.V1)
    table = yaml.safe_load((Path(__file__).parent / "decisions.yml").read_text())
    question: dict[str, Any] = table["events"]["push"]
    question["push"]["affected_files"] = [f"infra/net/folder{n % 7}/file{n}.tf" for n in range(200)]
    body = json.dumps(question).encode()
    with OpaPool() as pool:
        began = time.perf_counter()
        told(pool, policy, question)
        print(f"first decision, cold                  {(time.perf_counter() - began) * 1e3:8.1f} ms")
        prepared = prepare(policy, pool.backend)
        assert isinstance(prepared, Prepared)
        own = _median(_own(prepared, body))
        pooled = _median(lambda: told(pool, policy, question))
        print(f"input                                 {len(body):8d} bytes")
        print(f"engine alone, one decision            {own:8.3f} ms")
        print(f"pool, one decision                    {pooled:8.3f} ms  = {pooled / own:.2f} of it")
        began = time.perf_counter()
        for _ in range(50):
            told(pool, policy, question)
        print(f"pool, 50 decisions one by one         {(time.perf_counter() - began) * 1e3:8.1f} ms")
        began = time.perf_counter()
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: told(pool, policy, question), range(50)))
        print(f"pool, 50 decisions from 4 threads     {(time.perf_counter() - began) * 1e3:8.1f} ms")
        for pid in pool.backend.pids:
            print(f"memory of one worker                  {psutil.Process(pid).memory_info().rss / 2**20:8.1f} MiB")
    _killed(question)


def _own(prepared: Prepared, body: bytes) -> Callable[[], object]:
    """The same evaluation by the library in this process."""
    library = Library(str(find_library()))
    handle = library.c.OpaNew()
    for name, text in prepared.program.modules:
        library.call(library.c.OpaAddPolicy, handle, name.encode(), text.encode())
    ask = Ask(query="x := data.trackside_answer.values", question=body, timeout_s=10)
    query = ctypes.c_char_p(ask.query.encode())
    return lambda: json.loads(library.call(library.c.OpaEvalQuery, handle, query, body, 0, 0))


def _killed(question: dict[str, Any]) -> None:
    """From the end of a timeout to the next answer, and from a killed idle worker."""
    endless = "track if count([1 | numbers.range(1, 9000)[_]; numbers.range(1, 9000)[_]]) > 0"
    fine = example("push-default", Dialect.V1)
    with OpaPool(1, timeouts_s=dict.fromkeys(PolicyType, 0.3)) as pool:
        told(pool, fine, question)
        times = []
        for n in range(5):
            pool.evaluate(written(f"{endless}\n# {n}"), {})
            began = time.perf_counter()
            told(pool, fine, question)
            times.append((time.perf_counter() - began) * 1e3)
        print(f"after a timeout, next decision        {statistics.median(times):8.1f} ms")
        child = psutil.Process(pool.backend.pids[0])
        child.kill()
        child.wait(5)
        began = time.perf_counter()
        told(pool, fine, question)
        print(f"after a killed worker, next decision  {(time.perf_counter() - began) * 1e3:8.1f} ms")


def _median(call: Callable[[], object]) -> float:
    """Milliseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


if __name__ == "__main__":
    main()
