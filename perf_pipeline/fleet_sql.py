"""Whether a text is one SQL aggregate over agent_tasks, and nothing else. It is only parsed here, never run."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

DIALECT = "duckdb"


def check_aggregate(sql: str) -> str:
    """The expression, written anew without its comments. Raises ValueError with what is wrong, to follow a name.

    Which columns there are, and whether a function that the parser does not know is an aggregate, is found out when it
    is run.
    """
    try:
        statements = sqlglot.parse(f"SELECT {sql}\n", dialect=DIALECT)
    except SqlglotError as error:
        raise ValueError("cannot be read as SQL: check its brackets, quotes and commas") from error
    select = statements[0] if len(statements) == 1 else None
    if not isinstance(select, exp.Select) or {name for name, value in select.args.items() if value} != {"expressions"}:
        raise ValueError("must be one expression such as avg(completion_tokens), without FROM, WHERE or a second query")
    if len(select.expressions) != 1:
        raise ValueError("must be one expression; it has several")
    expression = select.expressions[0].unalias()
    if any(expression.find_all(exp.Query, exp.Unnest, exp.Table)):
        raise ValueError("may not hold a query of its own: the tasks of one agent and window are all that it sees")
    if any(expression.find_all(exp.Window)):
        raise ValueError("may not have a window function (OVER)")
    aggregates = (exp.AggFunc, exp.Anonymous)
    if not any(expression.find_all(*aggregates)):
        raise ValueError("is no aggregate: write avg(…), sum(…), count(*) or the like")
    for column in expression.find_all(exp.Column):
        if column.find_ancestor(*aggregates, exp.Filter) is None:
            raise ValueError(f"has {column.name} outside of an aggregate: write avg({column.name}) or the like")
    return expression.sql(dialect=DIALECT, comments=False)
