"""A program is loaded by its path, or a sentence says why not; its state is what an optimizer changes, and no more."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import dspy
import pytest
from dspy.signatures.signature import make_signature

from dspy_modules.demo_agents import FLEET, InboundAgent, StrategyAgent
from dspy_modules.embedded_model import embedded_lm
from dspy_modules.programs import (
    Program,
    ProgramError,
    forward_fields,
    load_attribute,
    load_program,
    signature_fingerprint,
    signature_of,
    state_of,
    texts_of,
    with_state,
    without_own_models,
)

INBOUND = "dspy_modules.demo_agents:InboundAgent"


class TwoSteps(dspy.Module):
    """A program whose parts a test chooses."""

    def __init__(self, **predictors: Any) -> None:
        super().__init__()
        for name, predictor in predictors.items():
            setattr(self, name, predictor)

    def forward(self, question: str, *rest: str, hint: str = "") -> dspy.Prediction:
        raise NotImplementedError


class TakesAnything(dspy.Module):
    def forward(self, **inputs: Any) -> dspy.Prediction:
        raise NotImplementedError


class OwnModel(dspy.BaseLM):
    """A language model that is no `dspy.LM`."""


def predict(signature: str = "question -> answer", instructions: str = "Answer.") -> dspy.Predict:
    return dspy.Predict(make_signature(signature, instructions))


def taught(program: Program, instructions: str = "Be brief.", demos: int = 2) -> Program:
    copy = program.deepcopy()
    for _, predictor in copy.named_predictors():
        predictor.signature = signature_of(predictor).with_instructions(instructions)
        predictor.demos = [
            dspy.Example(message=f"m{number}", intent="not_now", augmented=True) for number in range(demos)
        ]
    return copy


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a user's module, and gives its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> str:
        name = f"users_module_{len(list(tmp_path.iterdir()))}"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        return name

    return write


def test_a_program_is_loaded_by_its_path() -> None:
    assert type(load_program(INBOUND)) is InboundAgent
    assert load_attribute("dspy_modules.demo_agents:InboundAgent.forward") is InboundAgent.forward


@pytest.mark.parametrize(
    "path", ["no_such_package.agents:Agent", "dspy_modules.demo_agents:NoSuchAgent", "dspy_modules.demo_agents:FLEET.x"]
)
def test_what_cannot_be_imported_is_named_with_what_to_do(path: str) -> None:
    with pytest.raises(ProgramError) as refused:
        load_program(path)
    said = str(refused.value)
    assert said.startswith(f"{path} cannot be imported (")
    assert "correct it in fleet.yaml" in said


def test_what_is_no_program_is_named_with_what_it_is(write_module: Callable[[str], str]) -> None:
    name = write_module("import dspy\ndef number(): return 1\nclass Empty(dspy.Module): pass\n")
    with pytest.raises(ProgramError, match=f"{name}:number gives a int, not a dspy.Module: name a factory of one"):
        load_program(f"{name}:number")
    with pytest.raises(ProgramError, match=f"{name}:Empty has no predictor, so there is nothing to optimize"):
        load_program(f"{name}:Empty")


BROKEN = {
    "the module does not parse": ("def Agent(:\n", "Agent"),
    "the module raises": ("raise RuntimeError('DATABASE_URL is not set')\n", "Agent"),
    "the module asks for a variable": ("import os\nKEY = os.environ['NO_SUCH_VARIABLE']\n", "Agent"),
    "the factory raises": ("def Agent():\n    raise RuntimeError('no database')\n", "Agent"),
    "the factory takes arguments": ("def Agent(config):\n    return config\n", "Agent"),
    "the name is no factory": ("Agent = 3\n", "Agent"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_is_wrong_with_a_users_module_is_a_sentence(write_module: Callable[[str], str], what: str) -> None:
    source, name = BROKEN[what]
    path = f"{write_module(source)}:{name}"
    with pytest.raises(ProgramError) as refused:
        load_program(path)
    assert path in str(refused.value)


def test_a_programs_inputs_are_the_parameters_of_its_forward() -> None:
    assert forward_fields(InboundAgent()) == ("message",)
    assert forward_fields(StrategyAgent()) == ("brief",)
    assert forward_fields(TwoSteps(first=predict())) == ("question", "hint")
    assert forward_fields(TakesAnything()) == ()


def test_instructions_and_demonstrations_do_not_change_the_fingerprint() -> None:
    plain = InboundAgent()
    assert signature_fingerprint(plain) == signature_fingerprint(taught(plain)) == signature_fingerprint(InboundAgent())
    assert len(signature_fingerprint(plain)) == len(bytes.fromhex(signature_fingerprint(plain))) * 2 == 16


BASE = "question: str -> answer: str"


@pytest.mark.parametrize(
    "other",
    [
        TwoSteps(first=predict("question: str, hint: str -> answer: str")),
        TwoSteps(first=predict("question: str -> answer: str, reason: str")),
        TwoSteps(first=predict("query: str -> answer: str")),
        TwoSteps(first=predict("question: str -> answer: bool")),
        TwoSteps(first=predict("question: list[str] -> answer: str")),
        TwoSteps(second=predict(BASE)),
        TwoSteps(first=predict(BASE), second=predict(BASE)),
        TwoSteps(first=dspy.ChainOfThought(BASE)),
    ],
    ids=["input", "output", "name", "type", "input type", "predictor's name", "a second predictor", "reasoning"],
)
def test_a_field_a_type_or_a_predictor_changes_the_fingerprint(other: Program) -> None:
    assert signature_fingerprint(other) != signature_fingerprint(TwoSteps(first=predict(BASE)))


def test_another_choice_of_labels_changes_the_fingerprint() -> None:
    def labelled(labels: Any) -> Program:
        fields = {"question": (str, dspy.InputField()), "answer": (labels, dspy.OutputField())}
        return TwoSteps(first=dspy.Predict(make_signature(fields, "Answer.")))

    known = signature_fingerprint(labelled(Literal["yes", "no"]))
    assert known == signature_fingerprint(labelled(Literal["yes", "no"]))
    assert known != signature_fingerprint(labelled(Literal["yes", "no", "maybe"]))


def test_the_demo_fleets_programs_are_told_apart() -> None:
    assert len({signature_fingerprint(agent.program()) for agent in FLEET}) == len(FLEET)


@pytest.mark.parametrize("agent", FLEET, ids=lambda agent: agent.name)
def test_state_survives_json_and_gives_the_same_program_again(agent: Any) -> None:
    changed = taught(agent.program(), demos=0)
    again = with_state(agent.program(), json.loads(json.dumps(state_of(changed))))
    assert state_of(again) == state_of(changed)
    assert texts_of(again) == texts_of(changed)


def test_demonstrations_come_back_by_field() -> None:
    again = with_state(InboundAgent(), state_of(taught(InboundAgent(), "Be brief.", 2)))
    [text] = texts_of(again)
    assert (text.name, text.instructions) == ("classify", "Be brief.")
    assert [demo["message"] for demo in text.demonstrations] == ["m0", "m1"]


def test_a_restored_program_answers_as_the_optimized_one_does() -> None:
    changed = taught(InboundAgent())
    again = with_state(InboundAgent(), state_of(changed))
    with dspy.context(lm=embedded_lm()):
        assert again(message="Stop it.").toDict() == changed(message="Stop it.").toDict()


def test_the_program_itself_is_not_changed_by_a_state() -> None:
    program = InboundAgent()
    before = state_of(program)
    with_state(program, state_of(taught(program)))
    assert state_of(program) == before


def test_state_holds_no_model_no_traces_and_no_training_data() -> None:
    program = InboundAgent()
    program.classify.lm = dspy.LM("openai/gpt-4.1-mini", api_key="sk-secret", api_base="https://models.example")
    program.classify.train = [dspy.Example(message="private")]  # pyright: ignore[reportAttributeAccessIssue]
    text = json.dumps(state_of(program))
    assert not [word for word in ("sk-secret", "models.example", "gpt-4.1-mini", "private") if word in text]
    assert program.classify.lm is not None, "it is a copy"


def test_a_state_that_names_a_model_is_not_loaded() -> None:
    state = state_of(InboundAgent())
    state["classify"]["lm"] = {"model": "openai/x", "api_base": "https://evil.example"}
    with pytest.raises(ProgramError, match="names a language model"):
        with_state(InboundAgent(), state)


@pytest.mark.parametrize("state", [{}, {"classify": {}}, {"classify": None}, {"other": {"demos": []}}])
def test_a_state_that_does_not_fit_is_refused_with_a_sentence(state: dict[str, Any]) -> None:
    with pytest.raises(ProgramError, match=r"The state does not fit the program \("):
        with_state(InboundAgent(), state)


def test_a_predictors_own_model_is_dropped_in_a_copy() -> None:
    program = InboundAgent()
    program.classify.lm = own = embedded_lm()
    copy = without_own_models(program)
    assert [predictor.lm for _, predictor in copy.named_predictors()] == [None]
    assert program.classify.lm is own


@pytest.mark.parametrize(
    ("held", "place"),
    [
        (embedded_lm(), "the program.extra"),
        ([1, embedded_lm()], "the program.extra"),
        ((embedded_lm(),), "the program.extra"),
        ({"fast": embedded_lm()}, "the program.extra['fast']"),
        ({"deep": [{"in": (embedded_lm(),)}]}, "the program.extra['deep']['in']"),
        (OwnModel("own"), "the program.extra"),
    ],
    ids=["attribute", "list", "tuple", "dict", "nested", "another class"],
)
def test_a_program_that_holds_a_model_elsewhere_is_refused_with_its_place(held: object, place: str) -> None:
    program = InboundAgent()
    program.extra = held  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ProgramError) as refused:
        without_own_models(program)
    assert str(refused.value).startswith(f"{place} holds a language model of its own, whose calls would escape")


def test_a_model_in_a_part_of_the_program_is_found_and_a_circle_is_no_trouble() -> None:
    inner = InboundAgent()
    outer = TwoSteps(first=predict(), inner=inner)
    circle: list[Any] = []
    circle.append(circle)
    outer.circle = circle  # pyright: ignore[reportAttributeAccessIssue]
    without_own_models(outer)
    inner.extra = embedded_lm()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ProgramError, match=r"the program\.inner\.extra holds"):
        without_own_models(outer)


@pytest.mark.parametrize("agent", FLEET, ids=lambda agent: agent.name)
def test_the_demo_fleets_programs_hold_no_model(agent: Any) -> None:
    assert signature_fingerprint(without_own_models(agent.program())) == signature_fingerprint(agent.program())
