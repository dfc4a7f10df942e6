"""The daemon: read, decide, verify, act, record. `loop` is the cycle; every other room does one part of it.

| room | what | room | what |
|---|---|---|---|
| loop | the two threads and what each may do | upkeep | what time asks for |
| reception | what comes in finds its room | rooms | all of them, and how they know each other |
| answering | whoever sends a command | neighbours | others on the bus and beside it |
| telling | alarms and the plan that is followed | recording | what is written down, to be computed again |
| question | what a cycle's plan is made from | governor, ruling, judging | what is in force, in which mode, how it came to be; what is refused |
| guard | meters against limits, without a solver | sending | a decision as messages, past a gate |
| knowledge | what is known now | ledger | what was used of what is rationed |
| holding | what holds without a plan | situation | what is known and commanded at an instant |
| tally | what happened so far, counted | | |

Imports go down this list.
"""
