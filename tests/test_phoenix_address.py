"""The address of Phoenix as people see it: never with a user name or a password."""

from __future__ import annotations

import pytest

from resources.phoenix_connection import public_address
from resources.reading import PhoenixError


@pytest.mark.parametrize(
    "endpoint",
    ["http://host:6006/", "http://bob:secret@host:6006", "http://bob:se%2Fcret@host:6006", "http://bob:p@ss@host:6006"],
)
def test_user_and_password_are_left_out(endpoint: str) -> None:
    assert public_address(endpoint) == "http://host:6006"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://bob:s3cr/et@host:6006",
        "http://bob:12/s3cr@host",
        "http://bob/s3cr:s3cr@host:6006",
        "http://bob?s3cr@host",
        "http://bob#s3cr@host",
        "s3cr",
    ],
)
def test_what_is_no_address_is_an_error_that_names_the_setting_and_quotes_nothing(endpoint: str) -> None:
    with pytest.raises(PhoenixError, match="PHOENIX_ENDPOINT") as caught:
        public_address(endpoint)
    assert not caught.value.retryable
    assert "s3cr" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
