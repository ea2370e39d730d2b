"""What Supabase sends in the place of rows, and what each way of failing means for the person who must act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resources.reading import SupabaseError

if TYPE_CHECKING:
    import httpx

AGGREGATES_ARE_OFF = "PGRST123"
KEY_CODES = ("PGRST301", "PGRST302", "PGRST303")
TABLE_CODES = ("42P01", "PGRST205")
TYPE_CODES = ("22007", "22008", "22P02", "42883")
PASSING_STATUSES = (429, 502, 503, 504, 520, 522, 524)

COLUMNS_NEEDED = "id, agent_name, status, created_at and updated_at"

NOTHING_SEEN = (
    "Supabase returned no rows of {table}, which is also what it returns when row-level security hides them all: "
    "unless the table is empty, set SUPABASE_KEY to the service-role key or add a select policy for this key's role."
)


class RefusalError(Exception):
    """PostgREST, or whatever answered in its place, sent something other than rows.

    `code` is PostgREST's or PostgreSQL's; missing where the answer did not come from PostgREST.
    """

    def __init__(self, status: int, code: str | None, message: str) -> None:
        super().__init__(f"HTTP {status} {code or ''}: {message}")
        self.status = status
        self.code = code
        self.message = message


def raise_refusal(response: httpx.Response) -> None:
    """Raises RefusalError for every answer that is not a JSON list with a status of success."""
    response.read()
    content_type = response.headers.get("content-type", "no content type")
    if "json" not in content_type:
        raise RefusalError(response.status_code, None, f"an answer of type {content_type}")
    body = _json(response)
    if not response.is_success:
        fields = body if isinstance(body, dict) else {}
        raise RefusalError(response.status_code, fields.get("code"), fields.get("message") or response.reason_phrase)
    # The client takes an answer without a body for one without rows.
    if not isinstance(body, list):
        raise RefusalError(response.status_code, None, "JSON that is not a list of rows")


def explain(refusal: RefusalError, url: str, table: str) -> SupabaseError:
    """The refusal as a sentence for the person who must act."""
    code, status = refusal.code, refusal.status
    if code == "42501":
        return SupabaseError(
            f"Supabase does not let this key read {table} ({refusal.message}): set SUPABASE_KEY to the service-role "
            "key, or grant select on the table to the key's role.",
            retryable=False,
        )
    if code in KEY_CODES or status == 401:
        return SupabaseError(
            f"Supabase did not accept SUPABASE_KEY ({refusal.message}): set it to a key of the project at {url} that "
            "has not expired.",
            retryable=False,
        )
    if code in TABLE_CODES:
        return SupabaseError(
            f"Supabase has no table {table} that this key may see ({refusal.message}): create it, or set the "
            "resource's table to the right name.",
            retryable=False,
        )
    if code == "42703":
        return SupabaseError(
            f"The table {table} lacks a column that is read here ({refusal.message}): it needs {COLUMNS_NEEDED}. Add "
            "the column, or set the resource's table to a view that gives it this name.",
            retryable=False,
        )
    if code in TYPE_CODES:
        return SupabaseError(
            f"A column of {table} has another type than is read here ({refusal.message}): updated_at must be a "
            "timestamptz. Change it back, or set the resource's table to a view that converts it.",
            retryable=False,
        )
    if code == "57014":
        return SupabaseError(
            f"Supabase's statement timeout ended the reading of {table} ({refusal.message}): add an index on "
            "(updated_at, id), raise the role's statement_timeout, or try again when the database is less busy.",
            retryable=True,
        )
    if status in PASSING_STATUSES:
        return SupabaseError(
            f"Supabase at {url} is not available now (HTTP {status}, {refusal.message}): try again later, and check "
            "that the project at SUPABASE_URL is running.",
            retryable=True,
        )
    if code is None:
        return SupabaseError(
            f"What answers at {url} is not Supabase's REST interface (HTTP {status}, {refusal.message}): set "
            "SUPABASE_URL to https://<your project>.supabase.co.",
            retryable=False,
        )
    return SupabaseError(
        f"Supabase refused to read {table} (HTTP {status}, {code}: {refusal.message}): look the code up in "
        "PostgREST's list of errors.",
        retryable=status >= 500,
    )


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None
