"""Labelled texts for the agents that follow up and that audit drafts: invented, each under its right answer."""

from __future__ import annotations

CONVERSATION_STEPS: dict[str, tuple[str, ...]] = {
    "remind": (
        "We sent the quote nine days ago; he thanked us and has been silent since.",
        "She promised an answer by Friday, and it is Wednesday of the week after.",
        "The contract lies with their legal department for two weeks, nobody has written.",
        "He said that he would ask his director after the holidays, which ended on Monday.",
        "The price list was opened twice, and our last message is still unanswered.",
        "They wanted to sign before the end of the month, the month is over and nothing came.",
        "Our proposal went out ten days ago, no word about it so far.",
        "She asked for a week to think about the quote, and the week has passed without a word.",
    ),
    "offer_help": (
        "The trial began on Monday and the import failed three times.",
        "He started the set-up, asked how permissions work, and stopped there.",
        "Two users of the trial cannot log in since the change of their domain.",
        "She wrote that the reports look wrong and that she does not know why.",
        "Nobody has connected the CRM yet, although the trial has run for six days.",
        "They got stuck on the second page of the set-up and have not logged in again.",
        "He asked how to export the data; the manual did not answer his question.",
        "The trial account is empty: the import of contacts shows an error.",
    ),
    "send_reference": (
        "He wonders whether anybody in his industry uses the product.",
        "The board wants to hear from a customer of the same size first.",
        "She doubts our numbers and asked who else has saved that much.",
        "They like the demo, but the director trusts only what other hospitals say.",
        "He asked for a case study from a freight company.",
        "Two of the three managers agree, the third wants proof from another customer.",
        "She would like to speak to somebody who has used the product for a year.",
        "They compare us with a known brand and ask for experience from their industry.",
    ),
    "close_file": (
        "He wrote that they have signed with another vendor for three years.",
        "The company was sold, and the new owner stopped all purchases for good.",
        "She asked us not to write any more.",
        "Five messages in four months, no answer to any of them.",
        "The project was cancelled and the team that wanted it was dissolved.",
        "He has left, his successor says there is no need for such a product.",
        "They answered with a clear no and thanked us for our time.",
        "The number is out of service and three messages bounced.",
    ),
}
"""Conversations that have gone quiet, by the next step."""

DRAFT_VERDICTS: dict[str, tuple[str, ...]] = {
    "approve": (
        "Hi Nora, the minutes of our call are attached. I will send the open figures by Thursday. Best, Tom",
        "Hello Mr Lind, you asked for the security overview, please find it attached.",
        "Hi Ravi, thank you for the demo yesterday. Shall we talk about the next steps on Monday?",
        "Good morning Eva, the quote for 40 users is attached, it is valid until the 30th.",
        "Hello Ben, your question about exports is answered on page 7 of the manual. Best, Mia",
        "Hi Zoe, the invite for Tuesday at ten is on its way, as we agreed.",
        "Dear Ms Costa, the invoice is corrected and attached. Thank you for telling us.",
        "Hi Karl, as promised, here is the case study from a freight company.",
    ),
    "revise": (
        "Dear Sir or Madam, we are the leading provider of solutions.",
        "Hi, did you get my last message? And the one before? Please answer.",
        "Hi {first_name}, I saw that your company is doing great things.",
        "hello, quote attached, regards",
        "Hi Mark, our tool has 48 features, and here they all are, one by one.",
        "Dear customer, please answer soon. Please. We are waiting for your answer.",
        "Hello Anna, sorry, sorry for the long delay, we were so busy, sorry again.",
        "Dear Sir, our platform leverages synergies for leading companies.",
    ),
    "reject": (
        "We promise that you will save half of your costs, guaranteed, or we pay you.",
        "Sign today, or your data will be deleted tomorrow.",
        "Your colleague told us in confidence what you pay, so we know your secret.",
        "Our product is certified by the ministry, guaranteed.",
        "We know where you live and that your wife is ill, so a tool would help.",
        "Pay me in private and you get the licence for nothing.",
        "Your rival is nearly bankrupt, their customers told us so in confidence.",
        "This pill, guaranteed to cure stress, comes free with each licence you sign for today.",
    ),
}
"""Drafts of messages to customers, by the audit's verdict."""
