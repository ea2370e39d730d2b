"""Requests at a steady rate, whether or not earlier ones were answered, each timed from when it was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import numpy as np

TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Asked:
    """One request of the mix. `status` is 0 where no answer came, `ms` counts from when the request was due."""

    name: str
    status: int
    ms: float

    @property
    def failed(self) -> bool:
        return self.status == 0 or self.status >= 500


@dataclass(frozen=True)
class Kind:
    """A kind of request: a name, paths of which one is drawn, and how large its share of the mix is."""

    name: str
    paths: Sequence[str]
    share: float


async def steady_load(url: str, secret: str, mix: Sequence[Kind], rate: float, seconds: float) -> list[Asked]:
    rng = np.random.default_rng(7)
    shares = np.array([kind.share for kind in mix])
    drawn = rng.choice(len(mix), round(rate * seconds), p=shares / shares.sum())
    limits = httpx.Limits(max_connections=100)
    headers = {"authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, limits=limits) as client:
        began = time.perf_counter()
        tasks = []
        for number, place in enumerate(drawn):
            due = began + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            kind = mix[int(place)]
            path = kind.paths[int(rng.integers(len(kind.paths)))]
            tasks.append(asyncio.create_task(_ask(client, kind.name, path, due)))
        return await asyncio.gather(*tasks)


async def _ask(client: httpx.AsyncClient, name: str, path: str, due: float) -> Asked:
    try:
        status = (await client.get(path)).status_code
    except httpx.HTTPError:
        status = 0
    return Asked(name, status, 1000 * (time.perf_counter() - due))
