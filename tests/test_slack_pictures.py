"""What becomes of a message's picture; no Slack stands behind the proxy here."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from perf_pipeline.message import RenderedMessage
from tests.slack_cases import BLOCKS, last_post, posted, resource
from tests.wire.slack_fault_proxy import TOKEN, UPLOAD, Answer, FaultProxy

pytest_plugins = ["tests.slack_cases"]

BUTTONS: dict[str, Any] = {"type": "actions", "elements": []}
WITH_PICTURE = RenderedMessage(
    title="Title",
    plain="plain",
    slack_text="text",
    slack_blocks=[*BLOCKS, BUTTONS],
    picture=b"PNG",
    picture_text="Rising",
)


def uploads(proxy: FaultProxy) -> list[Answer]:
    """The answers to an upload that succeeds."""
    ticket = {"ok": True, "file_id": "F000000001", "upload_url": f"{proxy.base_url.removesuffix('/api/')}/upload/v1/x"}
    return [Answer(body=json.dumps(ticket)), Answer(body=b"OK"), Answer(body='{"ok": true, "files": []}')]


def image(alt_text: str = "Rising") -> dict[str, Any]:
    return {"type": "image", "slack_file": {"id": "F000000001"}, "alt_text": alt_text}


def test_a_picture_is_uploaded_for_nobody_and_shown_before_the_buttons(proxy: FaultProxy) -> None:
    proxy.faults = [*uploads(proxy), posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    assert proxy.requests_to(UPLOAD) == [{"bytes": b"PNG"}]
    (completed,) = proxy.requests_to("files.completeUploadExternal")
    assert set(completed) == {"files"}
    assert last_post(proxy)["blocks"] == [*BLOCKS, image(), BUTTONS]


def test_a_message_is_tried_again_while_slack_scans_its_picture(proxy: FaultProxy, pauses: list[float]) -> None:
    proxy.faults = [*uploads(proxy), Answer.refused_picture(), Answer.refused_picture(), posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    assert pauses == [1, 2]
    assert image() in last_post(proxy)["blocks"]


def test_a_picture_that_slack_never_accepts_is_left_out_and_the_message_says_so(
    proxy: FaultProxy, pauses: list[float]
) -> None:
    proxy.faults = [*uploads(proxy), *[Answer.refused_picture()] * 5, posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    sent = last_post(proxy)
    assert pauses == [1, 2, 4, 8]
    assert sent["blocks"][:-1] == WITH_PICTURE.slack_blocks
    assert "picture of this message is missing: Slack has not accepted it" in json.dumps(sent["blocks"][-1])


def test_refused_blocks_are_tried_without_the_picture_and_then_as_text(proxy: FaultProxy, pauses: list[float]) -> None:
    proxy.faults = [*uploads(proxy), *[Answer.refusal("invalid_blocks")] * 2, posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    first, second, third = proxy.requests_to("chat.postMessage")
    assert (image() in first["blocks"], image() in second["blocks"], "blocks" in third) == (True, False, False)
    assert third["text"] == "text\n\nThe picture of this message is missing: Slack has not accepted it."
    assert pauses == []


@pytest.mark.parametrize("failing", range(3))
@pytest.mark.parametrize(
    ("answer", "reason"),
    [(Answer(500), "HTTP 500"), (Answer(404, body="gone"), "HTTP 404"), (Answer.rate_limit(11), "asks to wait 11 s")],
)
def test_a_picture_is_never_worth_a_message(proxy: FaultProxy, failing: int, answer: Answer, reason: str) -> None:
    proxy.faults = [*uploads(proxy)[:failing], answer, posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    *blocks, note = last_post(proxy)["blocks"]
    assert blocks == WITH_PICTURE.slack_blocks
    assert note["type"] == "context"
    assert note["elements"][0]["text"].startswith("The picture of this message is missing. ")
    assert reason in note["elements"][0]["text"]


@pytest.mark.parametrize("ticket", [{}, {"file_id": "F1"}, {"file_id": "F1", "upload_url": "nowhere"}])
def test_a_strange_answer_to_an_upload_costs_the_picture_only(proxy: FaultProxy, ticket: dict[str, str]) -> None:
    proxy.faults = [Answer(body=json.dumps({"ok": True, **ticket})), posted()]
    assert resource(proxy).post(WITH_PICTURE, "key").ts == "1.000001"


def test_a_missing_scope_for_pictures_is_told_to_those_who_read_the_message(proxy: FaultProxy) -> None:
    proxy.faults = [Answer.refusal("missing_scope"), Answer.refusal("invalid_blocks"), posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    in_blocks, as_text = proxy.requests_to("chat.postMessage")
    assert "lacks files:write. Add it under OAuth & Permissions" in json.dumps(in_blocks["blocks"][-1])
    assert "lacks files:write. Add it under OAuth &amp; Permissions" in as_text["text"]


@pytest.mark.parametrize("blocks", [[], BLOCKS * 50])
def test_a_message_that_has_no_room_for_a_picture_goes_without(proxy: FaultProxy, blocks: list[dict[str, Any]]) -> None:
    proxy.faults = [posted()]
    message = RenderedMessage(title="t", plain="p", slack_text="s", slack_blocks=blocks, picture=b"PNG")
    resource(proxy).post(message, "key")
    assert [method for method, _ in proxy.requests] == ["chat.postMessage"]


def test_an_address_to_upload_to_appears_in_no_error(proxy: FaultProxy) -> None:
    address = "http://127.0.0.1:1/upload/v1/secret-ticket"
    ticket = {"ok": True, "file_id": "F1", "upload_url": address}
    proxy.faults = [Answer(body=json.dumps(ticket)), posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    assert "connection to Slack's file store failed (ConnectError)" in json.dumps(last_post(proxy)["blocks"])
    assert "secret-ticket" not in json.dumps(last_post(proxy))


def test_the_token_is_not_sent_to_where_a_picture_goes(proxy: FaultProxy) -> None:
    proxy.faults = [*uploads(proxy), posted()]
    resource(proxy).post(WITH_PICTURE, "key")
    assert proxy.upload_headers
    assert not any(TOKEN in str(headers) for headers in proxy.upload_headers)


def test_without_words_for_the_picture_the_title_stands_for_it(proxy: FaultProxy) -> None:
    proxy.faults = [*uploads(proxy), posted()]
    message = RenderedMessage(title="Title", plain="p", slack_text="s", slack_blocks=BLOCKS, picture=b"PNG")
    resource(proxy).post(message, "key")
    assert last_post(proxy)["blocks"] == [*BLOCKS, image("Title")]


def test_words_for_the_picture_are_as_long_as_slack_takes(proxy: FaultProxy) -> None:
    proxy.faults = [*uploads(proxy), posted()]
    resource(proxy).post(dataclasses.replace(WITH_PICTURE, picture_text="x" * 2001), "key")
    assert last_post(proxy)["blocks"][1] == image("x" * 2000)


def test_a_text_that_is_full_stays_one_message(proxy: FaultProxy) -> None:
    proxy.faults = [Answer.refusal("missing_scope"), Answer.refusal("invalid_blocks"), posted()]
    resource(proxy).post(dataclasses.replace(WITH_PICTURE, slack_text="x" * 4000), "key")
    assert last_post(proxy)["text"] == "x" * 4000
