"""What a good engineer would write about the incidents of `prose_facts`: {incident: one text a line}.

Those in `ADVICE` say what to do.
"""

from __future__ import annotations

TRUTHS: dict[str, str] = {
    "success": """
        InboundAgent's success rate fell from 85% to 12% since 10:00 UTC.
        InboundAgent: Success rate dropped from 85% to 12% since 10:00 UTC (3 of 25 tasks).
        Success rate is down to 12% from 85% since 10:00 UTC.
        Success rate is 12% since 10:00 UTC, down from 85%.
        Since 10:00 UTC, InboundAgent's success rate has dropped from 85% to 12%.
        Since 10:00 UTC only 3 of 25 InboundAgent tasks succeeded.
        InboundAgent succeeded in 3 of 25 tasks since 10:00 UTC, so the success rate fell from 85% to 12%.
        Success rate collapsed to 12% (85% before) since 10:00 UTC; evidence 1 : 1,200.
        Success fell from 85% to 12% since 10:00 UTC (95% interval of the loss: 60 to 85 points).
        The loss is between 60 and 85 points (95% interval).
        Success rate: 85% → 12% since 10:00 UTC.
        Success rate fell 85% → 12% since 10:00 UTC, evidence 1 : 1,200.
        Success rate was 85% and is now 12%.
        InboundAgent is failing: success rate fell from 85% to 12%.
        The drop began at 10:00 UTC.
        The severity is HIGH.
        High severity: InboundAgent's success rate fell to 12%.
        Severity HIGH; success_drop of InboundAgent since 10:00 UTC.
        Most likely model gpt-x-1: 9 of 10 tasks with it failed, 5% did before.
        Most likely gpt-x-1: 9 of 10 of its tasks failed, against 5% before.
        Likely cause: model gpt-x-1, which explains 86% of the rise (9 of 10 tasks failed, 5% before).
        Likely cause: gpt-x-1. 9 of 10 of its tasks failed, and it explains 86% of the rise in failures.
        The model gpt-x-1 is the likely cause: 9 of 10 tasks with it failed.
        gpt-x-1 probably causes it: 9 of 10 tasks with that model failed, while 5% did before.
        Tasks with gpt-x-1 account for 86% of the rise.
        9 of 10 tasks on gpt-x-1 failed, compared with 5% before, explaining 86% of the rise.
        9 of 10 gpt-x-1 tasks failed (usually 5%); by chance less often than 1 in 1,000 times.
        Failures point to gpt-x-1, where 9 of 10 tasks failed.
        18 of 22 failed tasks failed first in Predict(ClassifyMessage) with RateLimitError.
        18 of 22 failures started in the LLM step Predict(ClassifyMessage), with RateLimitError.
        RateLimitError in Predict(ClassifyMessage) came first in 18 of 22 failed tasks.
        18 of the 22 failed tasks failed first in `Predict(ClassifyMessage)`, with a RateLimitError.
        Failures start in Predict(ClassifyMessage) with RateLimitError.
        Tasks fail first with RateLimitError in the step Predict(ClassifyMessage).
        The likely cause is a rate limit: 18 of 22 failed tasks failed first with RateLimitError.
        The deployment of 09:58 UTC came 2 minutes before the onset.
        The drop began 2 minutes after the deployment of 09:58 UTC.
        A deployment at 09:58 UTC ("Shorten the prompt") came 2 minutes before the onset.
        Deployment 44d07be (Shorten the prompt) preceded the drop by 2 minutes.
        The 09:58 UTC deployment, which shortened the prompt, came 2 minutes before the onset and may be the cause.
        Likely cause: the deployment of 09:58 UTC, "Shorten the prompt" (9f2c1ab → 44d07be), 2 minutes before the onset.
        It coincides with the 09:58 UTC deployment "Shorten the prompt (main)".
        The version changed from 9f2c1ab to 44d07be at 09:58 UTC, 2 minutes before the onset.
        The deployment of 09:58 UTC is suspected: it came 2 minutes before the onset.
        Suspect: deployment 44d07be at 09:58 UTC.
        The timing matches the deployment of 09:58 UTC.
        Possibly the deployment of 09:58 UTC triggered the failures.
        InboundAgent's success rate fell to 12% after the deployment of 09:58 UTC.
        Success rate fell from 85% to 12% since 10:00 UTC, likely because gpt-x-1 hits rate limits.
        It is unlikely to be chance: less often than 1 in 1,000 times.
    """,
    "latency": """
        OutboundAgent's typical latency rose from 1.2 s to 9.8 s since 13:30 UTC.
        OutboundAgent slowed down: typical latency went from 1.2 s to 9.8 s since 13:30 UTC.
        OutboundAgent is 8.2 times slower than usual since 13:30 UTC.
        Typical latency is up from 1.2 to 9.8 s (8.2x the usual, 95% interval 6.1 to 11 times).
        Typical latency is 9.8 s, up from 1.2 s, since 13:30 UTC.
        Latency jumped to 9.8 seconds, from 1.2 seconds, over 24 tasks.
        Latency: 1.2 s → 9.8 s since 13:30 UTC (24 tasks); evidence 1 : 52,000.
        Since 13:30 UTC, OutboundAgent's tasks are slow: 9.8 s instead of 1.2 s.
        OutboundAgent has become slower since 13:30 UTC (9.8 s, usually 1.2 s).
        Latency increased 8.2-fold since 13:30 UTC.
        Latency rose 8.2 times, to 9.8 s; 95% interval 6.1–11 times.
        Critical latency increase of OutboundAgent since 13:30 UTC.
        OutboundAgent's latency has grown since 13:30 UTC; evidence 1 : 52,000.
        Most likely the tool crm_search: 19 of 20 tasks with it were slower than 4.2 s, 2% were before.
        Likely cause: the tool crm_search. 19 of 20 tasks with it were slower than 4.2 s, against 2% before.
        crm_search explains 91% of the rise: 19 of 20 of its tasks were slower than 4.2 s.
        The slowdown comes from the tool crm_search, which likely explains it.
        Tool crm_search is likely slow: 19 of 20 tasks were slower than 4.2 s.
        Tasks with crm_search account for 91% of the rise.
        The tool crm_search is the prime suspect, as 19 of 20 tasks with it were slower than 4.2 s.
        Slow tasks share the tool crm_search.
        By chance, that happens less often than 1 in 10,000 times.
    """,
    "two agents": """
        StrategyAgent: errors rose from 0.10 to 0.85 a task since 16:00 UTC.
        StrategyAgent's errors rose from 0.10 to 0.85 per task since 16:00 UTC (35 in 41 tasks).
        StrategyAgent's errors rose from 0.10 to 0.85 a task since 16:00 UTC; AuditAgent's cost rose to $0.012 a task.
        AuditAgent's cost rose from $0.0040 to $0.012 a task since 16:30 UTC.
        AuditAgent costs 3.0 times the usual since 16:30 UTC.
        StrategyAgent has 8.5 times the usual errors since 16:00 UTC.
        Errors are up at StrategyAgent since 16:00 UTC, and cost is up at AuditAgent since 16:30 UTC.
        35 errors in 41 tasks, 8.5 times the usual (95% interval 6.0 to 12 times).
        Cost per task went up from $0.0040 to $0.012 (AuditAgent).
        AuditAgent has become dearer since 16:30 UTC: $0.012 a task, up from $0.0040.
        Most likely provider anthropic: 30 of 31 tasks with it failed, 4% did before.
        Likely cause: anthropic. 30 of 31 of its tasks failed, and it explains 79% of the rise.
        The provider anthropic explains 79% of the rise.
        30 of 31 tasks with anthropic failed, up from 4%.
        Failures concentrate on the provider anthropic (30 of 31 tasks).
        Errors rose 8.5 times at StrategyAgent; evidence 1 : 22,000.
    """,
    "silence": """
        No task arrived since 02:30 UTC, where about 34 were expected.
        InboundAgent has been silent since 02:30 UTC; about 34 tasks were expected.
        InboundAgent: no task arrived since 02:30 UTC, about 34 expected (evidence 1 : 9,400,000).
        InboundAgent's traffic stopped: no task arrived since 02:30 UTC.
        No tasks arrived at InboundAgent since 02:30 UTC; usually about 34.
        Critical silence of InboundAgent since 02:30 UTC.
        The configuration change of 02:40 UTC came 10 minutes after the onset.
        A configuration change at 02:40 UTC came after the onset.
        The only known change, of the configuration at 02:40 UTC, came after the silence began.
    """,
    "pending": """
        AuditAgent: tokens may have risen from 4,000 to 12,346 a task since 08:00 UTC; not certain yet.
        AuditAgent's tokens may have risen from 4,000 to 12,346 a task since 08:00 UTC.
        Tokens a task may be up from 4,000 to 12,346 since 08:00 UTC.
        Tokens possibly rose to 12,346 a task, from 4,000 (10 tasks, 3.1 times the usual).
        It is not certain yet that tokens rose; evidence 1 : 40.
        Low severity: AuditAgent's tokens may have risen since 08:00 UTC.
        No single error, model or version stands out.
        No single model stands out.
    """,
    "over": """
        Score had fallen from 91 to 64 since 2026-03-01 22:00 UTC; back to normal by 04:30 UTC.
        StrategyAgent's score had fallen from 91 to 64 since 22:00 UTC.
        StrategyAgent's score is back to normal since 04:30 UTC.
        StrategyAgent's score fell from 91 to 64 and was back to normal by 04:30 UTC.
        The score was back to normal by 04:30 UTC.
        Score fell to 64, usually 91 (57 tasks; 95% interval of the loss 20 to 33 points).
        The deployment of 21:15 UTC came 45 minutes before the onset.
        The drop began 45 minutes after the deployment "Fix the retry loop; all tests pass".
        Possible cause: the deployment of 21:15 UTC, "Fix the retry loop" (0c0ffee → beefed1).
        Medium severity.
    """,
    "traffic": """
        Only 4 tasks arrived since 11:00 UTC, where about 19 were expected.
        OutboundAgent's traffic fell to 4 tasks since 11:00 UTC, where about 19 were expected.
        OutboundAgent got only 4 tasks since 11:00 UTC; about 19 were expected.
        4 tasks arrived since 11:00 UTC, 4.8 times fewer than expected.
        Traffic dropped: 4 tasks since 11:00 UTC instead of 19.
        Only 4 tasks since 11:00 UTC (about 19 expected); evidence 1 : 760.
        Fewer tasks arrived since 11:00 UTC (95% interval 1.8 to 11 times).
        No change of the agent is known from that time.
        No change of the agent or the fleet is known.
    """,
    "cost": """
        EmailAgent's cost rose from $0.21 to $1.9 a task since 2026-01-03 23:30 UTC.
        EmailAgent's cost per task jumped from $0.21 to $1.9 since 23:30 UTC (9.0 times the usual).
        Cost: $0.21 → $1.9 a task, 9.0x the usual (95% interval 7.1 to 12 times).
        Likely cause: version v3.2.0. 310 of 312 tasks with it were dearer than $1.2.
        Version v3.2.0 explains 98% of the rise; it was deployed at 23:18 UTC, 12 minutes before the onset.
        The 23:18 UTC deployment "Use the large model for drafts" came 12 minutes before the onset.
        Most likely v3.2.0: 310 of 312 of its tasks cost more than $1.2, 0% did before.
        EmailAgent has become 9.0 times dearer since 23:30 UTC; 1,204 tasks are affected.
        The cost increase began 12 minutes after deployment v3.2.0.
        Tasks with v3.2.0 were dearer than $1.2 in 310 of 312 cases.
        The deployment moved from v3.1.9 to v3.2.0, using the large model for drafts.
        Costs went up from $0.21 to $1.9 per task.
        The rise coincides with version v3.2.0.
        The deployment of v3.2.0 may have caused the rise.
        The deployment of 23:18 UTC likely caused the cost increase.
    """,
    "logs": """
        RefundAgent's success rate fell from 97% to 61% since 07:00 UTC (38 of 62 tasks).
        RefundAgent: log errors rose from 0.020 to 3.4 a task since 07:00 UTC, and success fell from 97% to 61%.
        Error lines in the logs are up to 3.4 a task from 0.020, 170 times the usual.
        Since 07:00 UTC RefundAgent succeeds in 38 of 62 tasks; error lines in its logs rose 170 times.
        Success rate dropped to 61% (97% before); the loss is 25 to 47 points (95% interval).
        24 of 24 failed tasks failed first in ledger.lookup with ConnectTimeout.
        Most likely the tool ledger.lookup: 24 of 30 tasks with it failed, 3% did before.
        Likely cause: ConnectTimeout in ledger.lookup, where 24 of 24 failed tasks failed first.
        ledger.lookup explains 100% of the rise: 24 of 30 of its tasks failed, 3% before.
        Likely cause: ledger.lookup times out (ConnectTimeout).
        The tool ledger.lookup fails with ConnectTimeout.
        The prompt change of 06:41 UTC (v7 → v8) came 19 minutes before the onset.
        The prompt change "Ask for the order number first" came 19 minutes before the onset.
        A prompt change at 06:41 UTC, 19 minutes before the onset, may contribute.
        RefundAgent has been failing since 07:00 UTC: 61% success, down from 97%.
        Tool ledger.lookup is the likely culprit.
        Failures started at 07:00 UTC.
        Evidence for the drop is 1 : 8,700,000.
        Success is down to 61%, log errors are up to 3.4 a task.
        By chance this happens less often than 1 in 1,000,000 times.
    """,
}

ADVICE: dict[str, str] = {
    "success": """
        Roll back to 9f2c1ab.
        Roll back the 09:58 UTC deployment.
        Roll back 44d07be to 9f2c1ab and watch the success rate.
        Roll back to the earlier version, then rerun the failed tasks.
        Revert the deployment "Shorten the prompt" and compare.
        Check the rate limits of gpt-x-1 and retry with backoff.
        Raise the rate limit for gpt-x-1, or switch to a fallback model.
        Compare failing and working traces of Predict(ClassifyMessage).
        Pin the previous version 9f2c1ab until the success rate is back.
        Inspect the traces in Phoenix, starting with RateLimitError.
        Reduce concurrency in Predict(ClassifyMessage), add retries with backoff.
        Check gpt-x-1's quota with the provider; if it is exhausted, switch models.
        Do not deploy until tasks succeed again.
        Escalate to the owner of InboundAgent.
        Rerun the failed tasks after the rollback.
        Restore the longer prompt and rerun a sample of failed tasks.
        Route traffic away from gpt-x-1 now.
        Pause the agent if failures continue.
        First roll back 44d07be, then check whether RateLimitError stops.
        Look at the failed spans of Predict(ClassifyMessage).
    """,
    "latency": """
        Check the latency of crm_search and its logs.
        Set a shorter timeout for crm_search and cache its results.
        Compare slow and fast traces; begin with crm_search.
        Ask the owner of the tool crm_search whether anything changed at 13:30 UTC.
        Disable crm_search temporarily, or route around it.
        Open the slowest traces since 13:30 UTC in Phoenix.
    """,
    "two agents": """
        Check the status page of anthropic, then switch StrategyAgent to another provider.
        Fail over from anthropic and retry the failed tasks.
        Look at the errors in StrategyAgent's traces and at AuditAgent's token usage.
    """,
    "silence": """
        Check whether InboundAgent is running, and whether its queue still receives messages.
        Check the service's logs since 02:30 UTC and restart InboundAgent if it hangs.
        Verify that traces still reach Phoenix.
    """,
    "pending": """
        Wait for more tasks before acting.
        Watch AuditAgent's tokens in the next windows.
        Compare the longest prompts with earlier ones.
    """,
    "over": """
        No action needed now; review the deployment of 21:15 UTC.
        Note the cause in the incident and close it.
    """,
    "traffic": """
        Check upstream: is anything sending tasks to OutboundAgent?
        Check the schedule and the queue in front of OutboundAgent.
    """,
    "cost": """
        Roll back to v3.1.9.
        Roll back v3.2.0 and check the cost per task.
        Set a cost limit for EmailAgent until the deployment is reverted.
        Compare token counts of v3.1.9 and v3.2.0 on the same inputs.
        Switch drafts back to the smaller model.
        Check which model v3.2.0 calls, and pin v3.1.9 if needed.
        Review the change "Use the large model for drafts" with its author.
    """,
    "logs": """
        Check ledger.lookup: is it reachable, and how long does it take?
        Raise ledger.lookup's timeout and add a retry.
        Check the network path to ledger.lookup.
        Roll back the prompt to v7 if ledger.lookup is healthy.
        Open the failing traces and look at ledger.lookup first.
        Contact the owners of ledger.lookup, and pause RefundAgent until it answers.
        Compare v7 and v8 on the failed tasks.
    """,
}


def truths() -> list[tuple[str, str, bool]]:
    """(incident, prose, whether it is advice)."""
    return [
        (incident, line.strip(), told is ADVICE)
        for told in (TRUTHS, ADVICE)
        for incident, text in told.items()
        for line in text.strip().splitlines()
    ]
