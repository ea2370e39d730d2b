"""What the demo fleet works on: invented drafts, companies, accounts, events and reports."""

from __future__ import annotations

CONVERSATIONS: tuple[str, ...] = (
    "Asked for pricing two weeks ago, got the price list, has been silent since.",
    "Demo went well, wanted to ask the legal team, no word for ten days.",
    "Said the budget comes in January. It is January now.",
    "Downloaded the trial and stopped after the second day.",
    "Wrote that the colleague who decides was on leave until Monday.",
    "Complained about a late answer, then thanked us for the fix.",
    "Asked whether we integrate with their CRM; we answered, they did not.",
    "Met at the fair, promised to send the requirements, did not.",
    "Wants a reference customer from logistics before going on.",
    "Negotiated a discount, then the offer expired yesterday.",
    "Had to cancel the call twice and apologised both times.",
    "Answered every message within an hour until last Friday.",
)

COMPANIES: dict[str, str] = {
    "Alder Freight": "Logistics, 420 employees, three warehouses. Opened a new hub. Plans its routes by hand.",
    "Birch Dental": "Chain of 18 dental practices, 260 employees. Hired a head of patient service.",
    "Cedar Homes": "Builds prefabricated houses, 900 employees. Order book is full. Sells through 40 agents.",
    "Dune Analytics Lab": "Start-up of 12 people, seed funding, sells sensor data to farms.",
    "Elm Insurance": "Regional insurer, 2,100 employees. Regulated. Runs its systems on premise.",
    "Fern Foods": "Frozen food producer, 1,300 employees, sells to five retail groups.",
    "Gorse Energy": "Installs heat pumps, 75 employees, growing by half each year. Scheduling is the bottleneck.",
    "Hazel Books": "Online bookshop, 30 employees. Returns cost more than advertising.",
    "Iris Hotels": "Group of 26 hotels, 1,900 employees. Replaces its booking system next year.",
    "Juniper Steel": "Steel trader, 5,400 employees in nine countries. Buys only by tender.",
    "Kelp Software": "Makes accounting software, 140 employees. Sells by telephone.",
    "Lotus Clinics": "Private clinics, 3,200 employees. Strict rules for patient data.",
}
"""What the research tool finds, by company."""

RESEARCH_QUESTIONS: tuple[str, ...] = (
    "Which size is the company, and does it fit our mid-market plan?",
    "Is there a recent event that makes them likely to buy?",
    "What could stand in the way of a hosted product?",
)

DRAFTS: tuple[str, ...] = (
    "Hi Ana, you asked for our price list, it is attached. Shall we talk on Tuesday? Best, Tom",
    "We guarantee that you will double your revenue within 30 days or your money back!!!",
    "Dear customer, last chance. If you do not answer today your offer is gone for ever.",
    "Hello Mr Okafor, thank you for the call. I noted three open points and will answer them by Friday.",
    "Hi there, as your doctor told you, our vitamins cure tiredness.",
    "Hello Mia, our security overview is attached. Your question about backups is answered on page 4.",
    "Your competitor Birch pays us 12,000 a year, so you can afford it as well.",
    "Hi Sam, I saw that you opened a hub in Leeds. Would an example from another haulier help?",
    "Dear Sir or Madam, buy now.",
    "Hi Lea, following up on my last five messages. Please answer. Please.",
    "Good morning, the renewal for the coming year is attached, at the same price as before.",
    "Hello, we noticed that your daughter goes to school near our office.",
    "Hi Jon, the trial ends on Sunday. Tell me if you need another week, it costs nothing.",
)

ACCOUNTS: dict[str, str] = {
    "A-101": "Customer since 2021, 80 seats, all used. Invoice paid. Owner: Tom.",
    "A-102": "Trial, day 11 of 14, four active users. Owner: Mia.",
    "A-103": "Customer since 2023, 25 seats, nine used. Last login 20 days ago. Owner: Tom.",
    "A-104": "Prospect, met at a fair, no project yet. Owner: Lea.",
    "A-105": "Customer since 2019, contract ends in six weeks. Satisfaction 8 of 10. Owner: Mia.",
    "A-106": "Former customer, left in March over price. Owner: Lea.",
}
"""What the account tool finds, by account number."""

ACCOUNT_EVENTS: tuple[tuple[str, str], ...] = (
    ("A-101", "The champion asks in a message for ten more seats."),
    ("A-101", "An invoice is 20 days late, call the accounts department."),
    ("A-102", "The trial ends in three days and two users are active; write a message."),
    ("A-102", "A user asks for a call about permissions."),
    ("A-103", "No login for 20 days; write a message before the renewal."),
    ("A-103", "The champion left the company; call the new head of sales."),
    ("A-104", "Downloaded a guide; nothing else happened, wait."),
    ("A-104", "Opened the newsletter four times in a week; send a message."),
    ("A-105", "The contract ends in six weeks, send a message with the renewal."),
    ("A-105", "Procurement wants a call about the terms of the renewal."),
    ("A-106", "Asked in a message about the small plan."),
    ("A-106", "Visited the pricing page once; wait and see."),
)
"""Account numbers, and what happened there."""

DAY_REPORTS: tuple[str, ...] = (
    "42 messages handled, 3 escalated, no error. Median answer after 2 s.",
    "17 answers were sent to the wrong person before a colleague stopped it.",
    "Errors rose to 12 of 40 in the afternoon, all of them timeouts of one tool.",
    "Quiet day: 6 tasks, all well.",
    "Two drafts were rejected by the audit for promising results.",
    "Research took twice as long as yesterday, the answers were good.",
    "38 tasks, 37 well; one malformed answer was repaired on the second try.",
    "The classifier answers 'interested' to everything since noon.",
    "All renewals went out on time, two customers thanked us.",
    "Rate limits from nine to ten, normal since.",
    "Half of the follow-ups repeat the same sentence.",
    "51 tasks, no complaint, cost 4 percent below the average.",
)
