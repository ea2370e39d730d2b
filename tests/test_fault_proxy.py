"""What a client sees of each fault of the proxy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from tests.wire.fault_proxy import (
    Fault,
    FaultProxy,
    changed_answer,
    changed_request,
    cut_in_chunks,
    cut_with_length,
    fault_proxy,
    html,
    refusal,
    silent_for,
    with_json,
)
from tests.wire.http_server import Answer, Request
from tests.wire.scripted_server import scripted_server


def echo(request: Request) -> Answer:
    body = json.dumps({"path": request.path, "body": request.body.decode()})
    return Answer(body=body, headers={"X-Told": request.headers.get("x-asked", "")})


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with scripted_server(echo) as server, fault_proxy(server.base_url) as running:
        yield running


def test_without_a_fault_everything_passes_both_ways(proxy: FaultProxy) -> None:
    answer = httpx.post(f"{proxy.url}/a?b=%2F", content=b"text", headers={"X-Asked": "yes"})
    assert answer.json() == {"path": "/a?b=%2F", "body": "text"}
    assert answer.headers["X-Told"] == "yes"
    assert [(request.method, request.path) for request in proxy.requests] == [("POST", "/a?b=%2F")]


def test_a_proxy_that_is_down_refuses_connections_until_it_heals_at_the_same_address(proxy: FaultProxy) -> None:
    address = proxy.url
    proxy.go_down()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
    proxy.heal()
    assert proxy.url == address
    assert httpx.get(address).is_success


def test_a_fault_lasts_for_as_many_requests_as_it_was_told(proxy: FaultProxy) -> None:
    proxy.misbehave(refusal(429, "Too many requests", **{"Retry-After": "1"}), times=2)
    answers = [httpx.get(proxy.url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "1"


def test_a_fault_concerns_only_the_requests_that_it_was_told(proxy: FaultProxy) -> None:
    proxy.misbehave(html, only=lambda request: request.path == "/page")
    kinds = [httpx.get(proxy.url + path).headers["content-type"].partition(";")[0] for path in ("/page", "/data")]
    assert kinds == ["text/html", "application/json"]


@pytest.mark.parametrize("cut", [cut_with_length, cut_in_chunks])
def test_a_cut_answer_ends_within_its_body(proxy: FaultProxy, cut: Fault) -> None:
    proxy.misbehave(cut)
    with httpx.stream("GET", proxy.url) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
            answer.read()


def test_a_silent_server_outlasts_the_clients_patience(proxy: FaultProxy) -> None:
    proxy.misbehave(silent_for(0.3))
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(proxy.url, timeout=0.1)
    assert proxy.requests


def test_requests_and_answers_can_be_changed_on_their_way(proxy: FaultProxy) -> None:
    proxy.misbehave(changed_request(lambda request: replace(request, path="/other")))
    assert httpx.get(f"{proxy.url}/asked").json()["path"] == "/other"
    proxy.misbehave(changed_answer(with_json(lambda answer: {"renamed": answer["path"]})))
    assert httpx.get(f"{proxy.url}/asked").json() == {"renamed": "/asked"}
