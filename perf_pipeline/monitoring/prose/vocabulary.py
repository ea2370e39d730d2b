"""The words that prose may use of its own accord: a closed list.

A cause can be invented without any name or figure ("because the database ran out of connections"). So what a sentence
is about has to come from a fact: of its words stands in one, or in the lists below, which hold what the English of
incidents needs to say *that* something went up or down, began, or is likely. Whoever misses a word adds it here, and
asks first whether it could make a claim: quantities in letters ("half"), how much of it ("all", "mostly"), how sure
("clearly"), that it is over ("fixed"), how grave ("minor"), when ("yesterday"), who ("customers") and what is not
("never") are left out on purpose, and so is thing that might break.
"""

from __future__ import annotations

from perf_pipeline.monitoring.prose.tokens import stem_of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _stems(words: frozenset[str]) -> frozenset[str]:
    return frozenset(stem_of(word) for word in words)


FUNCTION = _words(
    """
    a about after also an and are around as at be been before became become being between but by
        could did do does during for from had has have he here how in into is it its itself
    may might of on or our so that the their them then there these they this those through thus to together too
     upon via vs was we were what when where which while who why with within
    """
)
"""Words that carry no meaning of their own."""

ORDINARY = FUNCTION | _words(
    """
    began begin beginning begins begun came come comes coming got
    accompany account affect agent appear approximately arise arose associated baseline
    behind candidate case change coincide coincided compared concentrate confidence contribute could
    current currently culprit due earlier estimate estimated evidence excess expected explain
    explanation factor finding follow followed following figure go goes going happen happened happening hit
    hitting hits incident indicate instead interval involve involved issue itself leading level 
    likeliest likely look looks mark match matching mean means meant normally now
    occur occurred occurring odds onset origin originate originally per percent perhaps point points possible
    possibly precede preceded preceding present previous previously prime probability probable probably problem 
    rate rates reach reached reaching reason regression related relative result rise said
    same saw say says see seem seems seen sees share show showing shown shows since sit sits stand stands
    start started starting starts suggest suggesting suggests suspect suspected suspicion symptom task tasks this
    time timing together tracks trouble typical typically under usual usually value versus went whose
    degrade degraded degradation deteriorate deteriorated regress regressed suffer suffering suffers trigger
    triggered cause caused causes causing because responsible root broke introduced lead led
    contributing consistent concerning 
    roughly reported reports observed observation
    """
)
"""Words of incident English that say how things stand to one another, but name no thing that could break."""

ADVICE = _words(
    """
    action act add adjust again another anything away alert alternative any apply approach argument author back ask attempt audit avoid backoff
    backup batch before best blame bound cache cap capture check checking choose circuit clean close collect comparison
    concurrency config configuration confirm consider contact consult continue count credential credentials data
    debug decide default deeper delay deploying deployments diff different disable do don't down downgrade
    drop either else enable ensure error errors escalate every example examples exception failed failing failure
    failures fail fall fallback fast feature few fewer field filter find first fix fixing flag follow-up force freeze
    further gather give handling hold hotfix if immediately increase input inputs inspect intermediate investigate job
    keep key keys keyword later latest length let limit limits line lines list log logs longer longest look lower mail
    make manually max message messages metric mind model models monitor more most narrow need next new newer
    not note notify old older on-call once one only open optimization option or other output outputs owner page
    pair pass pause payload per pick pin place plan please post priority prompt prompts proceed program prompt
    promote provider pull put queue quota quotas raise rate-limit raw re-deploy re-run read recent record
    redeploy redirect reduce release releases remove repeat replace replay report reproduce request requests rerun
    reset resolve response responses restart restore resume retries retry retrying revert reverting review revise
    right roll rollback rolled rolling route run running sample samples save schedule second search send
    receive service front exhausted hang shorter window set setting settings share shift short should shorten side size slow slower slowest smaller source span spans spot
    stack stage status step steps still stop submit such support sure switch take talk tell template temporarily test tests
    than then throttle throttling ticket tighten time timeout timeouts to tool tools trace traces track traffic
    trim try tune turn undo unless until unusual update upstream usage use using validate verify version versions view wait warn watch
    what whether with without work working would yet you your
    deploy deployment commit commits branch call calls caller calling costs cost latency tokens token success
    successful succeed succeeds score change changes changed 
    """
)
"""What advice may say besides: it tells people what to do, and claims nothing. It may speak of any part of an agent."""

NAMES = _words("utc llm llms api ai dspy phoenix slack dagster railway supabase")
"""Names that may be said of any fleet, in small letters."""

CONCEPTS: dict[str, frozenset[str]] = {
    "success": _words("success successes successful successfully succeed succeeds succeeded succeeding"),
    "failure": _words("fail fails failed failing failure failures unsuccessful"),
    "errors": _words("error errors errored"),
    "latency": _words("latency latencies slow slower slowed slowing slowdown slowness"),
    "cost": _words("cost costs costly spend spending bill dearer expensive cheaper"),
    "tokens": _words("token tokens"),
    "traffic": _words("traffic arrive arrives arrived arriving arrivals silent silence"),
    "score": _words("score scores"),
    "model": _words("model models"),
    "tool": _words("tool tools"),
    "step": _words("step steps"),
    "provider": _words("provider providers"),
    "logs": _words("log logs"),
    "deployment": _words("deploy deploys deployed deploying deployment deployments release released rollout"),
    "change": _words("update updated new newer version versions commit"),
    "prompt": _words("prompt prompts"),
    "evidence": _words("evidence"),
    "chance": _words("chance"),
}
"""What a clause can be about. Prose may speak of it where a fact does, and give it the figures of that fact."""

METRICS = frozenset(("success", "errors", "latency", "cost", "tokens", "traffic", "score"))
"""The concepts that are measured, and go up and down."""

THINGS = frozenset(("model", "tool", "step", "provider", "deployment", "prompt"))
"""The concepts that can be to blame."""

FREE = frozenset(("evidence",))
"""Concepts that may be named without a figure in any prose."""

CONCEPT_OF = {word: concept for concept, words in CONCEPTS.items() for word in words}

RISE = _words(
    """
    rose rise rises rising risen increase increased increases increasing grew grow growing grown growth climb climbed
    climbing climbs jump jumped jumps jumping spiked spike spikes spiking surge surged surging soared soaring ballooned
    up higher slower slowed slowdown dearer elevated excess
    """
)
FALL = _words(
    """
    fell fall falls falling fallen drop dropped drops dropping decrease decreased decreases decreasing decline declined
    declines declining down lower lost loss losing collapsed collapse collapses plunged plunge plummeted dip dipped sank
    faster cheaper fewer shrank shrunk reduced below
    """
)
PAST = _words("rose risen increased grew grown climbed jumped spiked surged soared fell fallen dropped declined sank")
"""Directions that even in advice are claims: 'raise the limit' is none, 'errors rose' is one."""

HEDGES = _words(
    """
    likely likeliest probably probable possible possibly perhaps may might could suspect suspected suggests suggest
    suggesting points candidate appears seems appear seem suspicion coincides coincided explanation
    """
)
"""Words that say that a cause is not proven."""

GUESSES = HEDGES - _words("may might could points point appears appear seems seem coincides coincided explanation")
"""Hedges that guess at a cause: a sentence that has one says what it blames."""

CAUSAL = _words(
    """
    cause caused causes causing because due trigger triggered broke responsible led lead introduced culprit origin
    originates blame attributed result resulted reason behind
    """
)
"""Words that say that one thing came of another. The facts hold what coincides, so prose has to hedge them."""

NEGATORS = _words(
    """
    no not never without neither nor none nothing cannot can't don't doesn't didn't isn't wasn't aren't weren't hasn't
    haven't won't
    """
)

CLAIMS = _words(
    """
    all every everything everyone always only mostly most many few both entirely completely fully whole entire certain
    certainly definitely surely proven proved confirmed confirm clearly obviously known recovered recovering recovery
    resolved resolve fixed fix solved over ended normal healthy stable restored gone critical high low medium minor
    harmless outage fine well good ok safe done approved several nearly almost hardly any some none one
    """
)
"""Words that claim something of their own. A fact lends them only as they stand, not by their stem ('several' is not
'severity'), and the title of a change, which anybody may have written, does not lend them at all."""

ORDERS = _words("ignore disregard forget pretend instruction instructions assistant system override obey jailbreak")
"""Words of a title that speak to whoever reads it: such a title is never quoted."""

ORDINARY_STEMS = _stems(ORDINARY | RISE | FALL)
ADVICE_STEMS = _stems(ADVICE)
