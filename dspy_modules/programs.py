"""DSPy programs as optimizations need them: loaded by their import path, written down as state, and put together again.

State is what an optimizer changes: instructions and demonstrations. It is JSON and holds no code; language models and
their addresses are left out, so that an agent's own stay in use.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import dspy

Program: TypeAlias = dspy.Module
ProgramFactory = Callable[[], dspy.Module]
State = Mapping[str, Any]


class ProgramError(ValueError):
    """A program cannot be used. The message says which, why, and what to change."""


@dataclass(frozen=True)
class PredictorText:
    """What an optimizer can change of a predictor. Demonstrations are by field."""

    name: str
    instructions: str
    demonstrations: tuple[Mapping[str, Any], ...]


def load_attribute(path: str) -> Any:
    """What `module:name` names. Raises ProgramError where it cannot be imported."""
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ProgramError(
            f"{path} cannot be imported ({type(error).__name__}: {error}): correct it in fleet.yaml, and see that its "
            "package can be imported where optimizations run."
        ) from error
    return found


def load_program(path: str) -> Program:
    """The program that the factory makes. Raises ProgramError."""
    factory = load_attribute(path)
    try:
        program = factory()
    except Exception as error:
        raise ProgramError(
            f"{path} cannot be called without arguments ({type(error).__name__}: {error}): name a factory of a "
            "dspy.Module that needs none."
        ) from error
    if not isinstance(program, dspy.Module):
        raise ProgramError(f"{path} gives a {type(program).__name__}, not a dspy.Module: name a factory of one.")
    if not program.named_predictors():
        raise ProgramError(f"{path} has no predictor, so there is nothing to optimize.")
    return program


def forward_fields(program: Program) -> tuple[str, ...]:
    """The names of the inputs that the program takes; empty where its `forward` takes any."""
    # Looked up on the class: DSPy warns of whoever touches the method of an instance.
    forward = getattr(type(program), "forward", None)
    if forward is None:
        return ()
    _, *parameters = inspect.signature(forward).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return ()
    return tuple(parameter.name for parameter in parameters if parameter.kind is not inspect.Parameter.VAR_POSITIONAL)


def signature_fingerprint(program: Program) -> str:
    """16 hexadecimal digits that stand for the program's predictors, their fields and the fields' types.

    State fits the programs that have the same. Instructions may differ: they are what an optimizer changes.
    """
    shape = {
        name: {
            "inputs": _types(signature_of(predictor).input_fields),
            "outputs": _types(signature_of(predictor).output_fields),
        }
        for name, predictor in program.named_predictors()
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def signature_of(predictor: dspy.Predict) -> type[dspy.Signature]:
    return predictor.signature  # pyright: ignore[reportReturnType] (DSPy declares it too widely)


def state_of(program: Program) -> dict[str, Any]:
    """The program's state as JSON, without models, endpoints and training data."""
    plain = program.deepcopy()
    for _, predictor in plain.named_predictors():
        predictor.lm, predictor.traces, predictor.train = None, [], []
    return json.loads(json.dumps(plain.dump_state()))


def with_state(program: Program, state: State) -> Program:
    """A copy of the program with the state. Raises ProgramError where it does not fit.

    DSPy itself loads the state of another signature without a word, so its fingerprint is to be compared before.
    """
    if any(part.get("lm") for part in state.values() if isinstance(part, Mapping)):
        raise ProgramError("The state names a language model, which no state of ours does: it is not loaded.")
    restored = program.deepcopy()
    try:
        restored.load_state(json.loads(json.dumps(state)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProgramError(f"The state does not fit the program ({type(error).__name__}: {error}).") from error
    return restored


def texts_of(program: Program) -> list[PredictorText]:
    return [
        PredictorText(name, signature_of(predictor).instructions, tuple(dict(demo) for demo in predictor.demos))
        for name, predictor in program.named_predictors()
    ]


def without_own_models(program: Program) -> Program:
    """A copy whose predictors all use the model of the context, which is metered.

    Raises ProgramError where the program holds a model elsewhere: calls of it would escape the budget.
    """
    copy = program.deepcopy()
    for _, predictor in copy.named_predictors():
        predictor.lm = None
    kept = next((place for place in _models_in(copy, "the program", set())), None)
    if kept:
        raise ProgramError(
            f"{kept} holds a language model of its own, whose calls would escape the budget: let the program use the "
            "one of dspy.context, or set it on a predictor."
        )
    return copy


def _types(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(field.annotation) for name, field in fields.items()}


def _models_in(value: Any, place: str, seen: set[int]) -> Iterator[str]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dspy.BaseLM | dspy.Embedder):
        yield place
    elif isinstance(value, dspy.Module):
        for name, held in vars(value).items():
            yield from _models_in(held, f"{place}.{name}", seen)
    elif isinstance(value, Mapping):
        for name, held in value.items():
            yield from _models_in(held, f"{place}[{name!r}]", seen)
    elif isinstance(value, list | tuple | set):
        for held in value:
            yield from _models_in(held, place, seen)
