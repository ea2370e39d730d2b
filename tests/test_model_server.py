"""The model server answers real clients as a provider does, fails as it is told, and counts what it would bill."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import httpx
import pytest
from dspy.clients.engines.litellm_engine import LiteLLMEngine
from dspy.utils.exceptions import AdapterParseError, LMAuthError, LMInvalidRequestError, LMRateLimitError, LMServerError

from dspy_modules.demo_agents import InboundAgent
from dspy_modules.embedded_model import embedded_lm
from tests.wire.model_server import (
    BAD_REQUEST,
    SERVER_ERROR,
    UNAUTHORIZED,
    Fault,
    Hang,
    ModelServer,
    Plan,
    model_server,
    rate_limit,
)

MESSAGE = "Please take my address off your list."


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def local_prices() -> None:
    """Without it LiteLLM looks for prices on the network when it is first imported."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"


def always(fault: Fault) -> Plan:
    return lambda *_: fault


def client_of(server: ModelServer, **settings: Any) -> dspy.LM:
    # Without wire_model DSPy 3.4.1 drops the address and the key of an engine that it calls itself.
    engine = LiteLLMEngine(wire_model="openai/simulated-1", api_base=server.base_url, api_key="x")
    return dspy.LM("openai/simulated-1", engine=engine, cache=False, num_retries=0, **settings)


def ask(lm: dspy.LM) -> str:
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_json_adapter_fallback=False)):
        return InboundAgent()(message=MESSAGE).intent


def post(server: ModelServer, timeout: float = 10, **others: Any) -> httpx.Response:
    with httpx.Client(timeout=timeout) as client:
        return post_by(client, server, **others)


def post_by(client: httpx.Client, server: ModelServer, **others: Any) -> httpx.Response:
    body = {"model": "simulated-1", "messages": [{"role": "user", "content": "Tell me a story."}], **others}
    return client.post(f"{server.base_url}/chat/completions", json=body)


def comes_true(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_a_program_gets_the_embedded_models_answer_through_the_real_client_stack(server: ModelServer) -> None:
    assert ask(client_of(server)) == ask(embedded_lm())
    (call,) = server.calls
    assert (call.number, call.model, call.is_billed, call.is_delivered) == (1, "simulated-1", True, True)


def test_the_bill_agrees_with_the_usage_that_the_client_is_told(server: ModelServer) -> None:
    with dspy.context(lm=client_of(server), track_usage=True):
        usage = InboundAgent()(message=MESSAGE).get_lm_usage()
    assert usage is not None
    (told,) = usage.values()
    (call,) = server.billed
    assert (told["prompt_tokens"], told["completion_tokens"]) == (call.prompt_tokens, call.completion_tokens)
    assert call.prompt_tokens > 100


def test_an_answer_is_cut_at_max_tokens_and_no_more_is_billed(server: ModelServer) -> None:
    answer = post(server, max_tokens=3).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert len(answer["choices"][0]["message"]["content"]) == 12
    assert server.billed[0].completion_tokens == answer["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [
        (rate_limit(7), LMRateLimitError),
        (SERVER_ERROR, LMServerError),
        (BAD_REQUEST, LMInvalidRequestError),
        (UNAUTHORIZED, LMAuthError),
    ],
    ids=["429", "500", "400", "401"],
)
def test_a_refusal_reaches_the_program_as_its_error_and_is_not_billed(
    server: ModelServer, refusal: Fault, raised: type[Exception]
) -> None:
    server.plan = always(refusal)
    with pytest.raises(raised):
        ask(client_of(server))
    assert [(call.is_billed, call.is_delivered) for call in server.calls] == [(False, True)]


def test_a_rate_limit_says_when_to_come_back(server: ModelServer) -> None:
    server.plan = always(rate_limit(7))
    assert post(server).headers["Retry-After"] == "7"


@pytest.mark.parametrize(("fault", "is_billed"), [("drop before the work", False), ("drop after the work", True)])
def test_a_dropped_call_is_billed_if_the_work_was_done(server: ModelServer, fault: Fault, is_billed: bool) -> None:
    server.plan = always(fault)
    with pytest.raises(httpx.RemoteProtocolError):
        post(server)
    assert [(call.is_billed, call.is_delivered) for call in server.calls] == [(is_billed, False)]


def test_a_call_that_the_client_gave_up_is_billed_and_not_delivered() -> None:
    with model_server(always(Hang(0.3))) as server:
        with pytest.raises(httpx.ReadTimeout):
            post(server, timeout=0.05)
        assert comes_true(lambda: bool(server.billed))
        assert not server.billed[0].is_delivered


def test_a_call_that_hangs_is_answered_in_the_end(server: ModelServer) -> None:
    server.plan = always(Hang(0.1))
    assert post(server).elapsed.total_seconds() >= 0.1
    assert server.billed[0].is_delivered


def test_an_answer_without_usage_is_billed_all_the_same(server: ModelServer) -> None:
    server.plan = always("no usage")
    assert "usage" not in post(server).json()
    assert server.billed[0].completion_tokens > 0


def test_malformed_json_is_billed(server: ModelServer) -> None:
    server.plan = always("malformed JSON")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        post(server).json()
    assert server.billed[0].is_delivered


def test_no_adapter_can_parse_the_unreadable_text_and_it_is_billed(server: ModelServer) -> None:
    server.plan = always("unreadable text")
    with pytest.raises(AdapterParseError):
        ask(client_of(server))
    assert len(server.billed) == 1


def test_the_plan_sees_the_number_and_the_body_of_each_request(server: ModelServer) -> None:
    seen: list[tuple[int, str]] = []

    def second_fails(number: int, body: Any) -> Fault | None:
        seen.append((number, body["model"]))
        return SERVER_ERROR if number == 2 else None

    server.plan = second_fails
    assert [post(server).status_code for _ in range(3)] == [200, 500, 200]
    assert seen == [(1, "simulated-1"), (2, "simulated-1"), (3, "simulated-1")]


def test_a_hundred_parallel_calls_are_all_answered_and_counted_once(server: ModelServer) -> None:
    server.plan = lambda number, _: "drop after the work" if number % 10 == 0 else Hang(0.05)

    def status(_: int) -> int | None:
        try:
            return post_by(client, server).status_code
        except httpx.RemoteProtocolError:
            return None

    with httpx.Client(timeout=30) as client, ThreadPoolExecutor(100) as threads:
        answered = list(threads.map(status, range(100)))
    assert sorted(call.number for call in server.calls) == list(range(1, 101))
    assert (answered.count(200), answered.count(None)) == (90, 10)
    assert (len(server.billed), sum(call.is_delivered for call in server.billed)) == (100, 90)


def test_one_connection_serves_several_requests(server: ModelServer) -> None:
    with httpx.Client() as client:
        answers = [client.get(f"{server.base_url}/models") for _ in range(2)]
        ports = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in answers}
    assert [answer.json()["data"][0]["id"] for answer in answers] == ["simulated-1"] * 2
    assert len(ports) == 1
    assert server.calls == ()
