"""The words that prose may use of its own accord: a closed list.

A cause can be invented without any name or figure ("because the database ran out of connections"). So what a sentence
is about has to come from a fact: each of its words stands in one, or in the lists below, which hold what the English of
incidents needs to say *that* something went up or down, began, or is likely. Whoever misses a word adds it here, and
asks first whether it could make a claim: quantities in letters ("half"), how much of it ("all", "mostly"), how sure
("clearly"), that it is over ("fixed"), how grave ("minor"), when ("yesterday"), who ("customers") and what is not
("never") are left out on purpose, and so is each thing that might break.
"""

from __future__ import annotations

from perf_pipeline.monitoring.prose.tokens import stem_of


def word_set(text: str) -> frozenset[str]:
    """The words of a list that is written like prose."""
    return frozenset(text.split())


def _stems(words: frozenset[str]) -> frozenset[str]:
    return frozenset(stem_of(word) for word in words)


FUNCTION = word_set(
    """
    a about after also an and are around as at be became become been before being between but by could did do does
    during for from had has have he here how in into is it its itself may might of on or our so that the their them
    then there these they this those through thus to together too upon via vs was we were what when where which
    while who why with within
    """
)
"""Words that carry no meaning of their own."""

ORDINARY = FUNCTION | word_set(
    """
    accompany account affect agent appear approximately arise arose associated baseline because began begin
    beginning begins begun behind broke came candidate case cause caused causes causing change coincide coincided
    come comes coming compared concentrate concerning confidence consistent contribute contributing could culprit
    current currently degradation degrade degraded deteriorate deteriorated due earlier estimate estimated evidence
    excess expected explain explanation figure finding follow followed following go goes going got happen happened
    happening hit hits hitting incident indicate instead interval introduced involve involved issue itself lead
    leading led level likeliest likely look looks mark match matching normally now observed occur occurred occurring
    odds onset origin originally originate per percent perhaps point points possible possibly precede preceded
    preceding previous previously prime probability probable probably problem rate rates reach reached reaching
    reason regression responsible result rise root roughly saw see seem seems seen sees share show showing shown
    shows since sit sits stand stands start started starting starts suffer suffering suffers suggest suggesting
    suggests suspect suspected suspicion symptom task tasks this time timing together tracks trigger triggered
    trouble typical typically usual usually value versus went whose
    """
)
"""Words of incident English that say how things stand to one another, but name no thing that could break."""

ADVICE = word_set(
    """
    act action add adjust again alert alternative another answer any anything apply approach argument ask attempt
    audit author avoid away back backoff backup batch before best blame bound branch cache call caller calling calls
    cap capture change changed changes check checking choose circuit clean close collect commit commits compare
    comparison concurrency config configuration confirm consider consult contact continue cost costs count
    credential credentials data debug decide deeper default delay deploy deploying deployment deployments diff
    different disable do don't down downgrade drop either else enable ensure error errors escalate every example
    examples exception exhausted fail failed failing failure failures fall fallback fast feature few fewer field
    filter find first fix fixing flag follow-up force freeze front further gather give handling hang hold hotfix if
    immediately increase input inputs inspect intermediate investigate job keep key keys keyword latency later
    latest length let limit limits line lines list log logs longer longest look lower mail make manually max message
    messages metric mind model models monitor more most narrow need network new newer next not note notify old older
    on-call once one only open optimization option or other output outputs owner page pair pass path pause payload
    per pick pin place plan please post priority proceed program promote prompt prompts provider pull put queue
    quota quotas raise rate-limit raw re-deploy re-run reachable read receive recent record redeploy redirect reduce
    release releases remove repeat replace replay report reproduce request requests rerun reset resolve respond
    response responses restart restore resume retries retry retrying revert reverting review revise right roll
    rollback rolled rolling route run running same sample samples save schedule score search second send service set
    setting settings share shift short shorten shorter should side size slow slower slowest smaller source span
    spans spot stack stage status step steps still stop submit succeed succeeds success successful such support sure
    switch take talk tell template temporarily test tests than then throttle throttling ticket tighten time timeout
    timeouts to token tokens tool tools trace traces track traffic trim try tune turn undo unless until unusual
    update upstream usage use using validate verify version versions view wait warn watch what whether window with
    without work working would yet you your
    """
)
"""What advice may say besides: it tells people what to do, and claims nothing. It may speak of any part of an agent."""

NAMES = word_set("utc llm llms api ai dspy phoenix slack dagster railway supabase")
"""Names that may be said of any fleet, in small letters."""

CONCEPTS: dict[str, frozenset[str]] = {
    "success": word_set("success successes successful successfully succeed succeeds succeeded succeeding"),
    "failure": word_set("fail fails failed failing failure failures unsuccessful"),
    "errors": word_set("error errors errored"),
    "latency": word_set("latency latencies slow slower slowed slowing slowdown slowness"),
    "cost": word_set("cost costs costly spend spending bill dearer expensive cheaper"),
    "tokens": word_set("token tokens"),
    "traffic": word_set("traffic arrive arrives arrived arriving arrivals silent silence"),
    "score": word_set("score scores"),
    "model": word_set("model models"),
    "tool": word_set("tool tools"),
    "step": word_set("step steps"),
    "provider": word_set("provider providers"),
    "logs": word_set("log logs"),
    "deployment": word_set("deploy deploys deployed deploying deployment deployments release released rollout"),
    "change": word_set("update updated new newer version versions commit"),
    "prompt": word_set("prompt prompts"),
    "evidence": word_set("evidence"),
    "chance": word_set("chance"),
}
"""What a clause can be about. Prose may speak of it where a fact does, and give it the figures of that fact."""

METRICS = frozenset(("success", "errors", "latency", "cost", "tokens", "traffic", "score"))
"""The concepts that are measured, and go up and down."""

THINGS = frozenset(("model", "tool", "step", "provider", "deployment", "prompt", "logs"))
"""The concepts that can be to blame."""

FREE = frozenset(("evidence",))
"""Concepts that may be named without a figure in any prose."""

CONCEPT_OF = {word: concept for concept, words in CONCEPTS.items() for word in words}

RISE = word_set(
    """
    ballooned climb climbed climbing climbs dearer elevated excess grew grow growing grown growth higher increase
    increased increases increasing jump jumped jumping jumps rise risen rises rising rose slowdown slowed slower
    soared soaring spike spiked spikes spiking surge surged surging up
    """
)
FALL = word_set(
    """
    cheaper collapse collapsed collapses decline declined declines declining decrease decreased decreases decreasing
    dip dipped down drop dropped dropping drops fall fallen falling falls faster fell fewer losing loss lost lower
    plummeted plunge plunged reduced sank shrank shrunk
    """
)
PAST = word_set("rose risen increased grew grown climbed jumped spiked surged soared fell fallen dropped declined sank")
"""Directions that even in advice are claims: 'raise the limit' is none, 'errors rose' is one."""

HEDGES = word_set(
    """
    appear appears candidate coincided coincides could explanation likeliest likely may might perhaps points
    possible possibly probable probably seem seems suggest suggesting suggests suspect suspected suspicion
    """
)
"""Words that say that a cause is not proven."""

GUESSES = HEDGES - word_set("may might could points point appears appear seems seem coincides coincided explanation")
"""Hedges that guess at a cause: a sentence that has one says what it blames."""

CAUSAL = word_set(
    """
    attributed because behind blame broke cause caused causes causing culprit due introduced lead led origin
    originates reason responsible result resulted trigger triggered
    """
)
"""Words that say that one thing came of another. The facts hold what coincides, so prose has to hedge them."""

NEGATORS = word_set(
    """
    aren't can't cannot didn't doesn't don't hasn't haven't isn't neither never no none nor not nothing wasn't
    weren't without won't
    """
)

CLAIMS = word_set(
    """
    all almost always any approved both certain certainly clearly completely confirm confirmed critical definitely
    done ended entire entirely every everyone everything few fine fix fixed fully gone good hardly harmless healthy
    high known low many medium minor most mostly nearly none normal obviously ok one only outage over proved proven
    recovered recovering recovery resolve resolved restored safe several solved some stable surely well whole
    """
)
"""Words that claim something of their own. A fact lends them only as they stand, not by their stem ('several' is not
'severity'), and the title of a change, which anybody may have written, does not lend them at all."""

ORDERS = word_set("ignore disregard forget pretend instruction instructions assistant system override obey jailbreak")
"""Words of a title that speak to whoever reads it: such a title is never quoted."""

_INFLECTED = ("s", "ed", "ing")


def is_ordinary(word: str, *, advice: bool) -> bool:
    """Whether the word, or another form of it, is in the lists: 'coincides' does not lend 'coincidence'."""
    if word in ORDINARY or word in RISE or word in FALL or (advice and word in ADVICE):
        return True
    stem = stem_of(word)
    known = stem in ORDINARY_STEMS or (advice and stem in ADVICE_STEMS)
    return known and word.endswith(_INFLECTED) and word not in CLAIMS


ORDINARY_STEMS = _stems(ORDINARY | RISE | FALL)
ADVICE_STEMS = _stems(ADVICE)
