"""Invariants: what must hold whatever happens, each defined once, as a function that returns what is broken (`broken.Broken`).

Checked by the *gate* on every message before it is sent (`facility.daemon.sending.gate`), by the *verifier* on every decision, and by *tests* on
the plant's truth: the simulation after every step, the faults after each one.

| number | sentence                                                                                     | in             | checked by      |
|--------|----------------------------------------------------------------------------------------------|----------------|-----------------|
| I1     | whichever messages are lost, the sum of what may be in force fits under every feeder (N-1 too) | `plant`        | gate, tests     |
| I2     | no hall is warmer than its equipment allows                                                  | `plant`        | tests           |
| I3     | an order is finite and inside what its gear can be set to; a cap is whole watts              | `plant`        | gate            |
| I4     | data that is bad, stale or missing never raises a cap                                        | `plant`        | gate, tests     |
| I5     | nothing is sent that was not accepted                                                        | `plant`        | gate            |
| I6     | every order has an end, and every cap a fallback that fits                                   | `plant`        | gate            |
| I7     | an emergency decrease waits for nothing                                                      | `plant`        | gate, tests     |
| I8     | a valid command acts at once and wins until its end, inside the plant's limits               | `people`       | tests           |
| I9     | it never outlives its end, never comes back; acknowledged means durable                      | `people`       | tests           |
| I10    | of two equal authorities the lower cap wins                                                  | `people`       | tests           |
| I11    | means of a minute and of a billing interval are within the grid's limit, ramps too           | `contracts`    | verifier, tests |
| I12    | nothing that may not wait is held; floors are kept                                           | `contracts`    | verifier, gate  |
| I13    | caps do not hunt: they rise in bounded steps, and turn a bounded number of times an hour     | `contracts`    | gate, tests     |
| I14    | (epoch, seq) strictly increases                                                              | `integrity`    | gate, tests     |
| I15    | messages are small and what their topics promise                                             | `integrity`    | gate, tests     |
| I16    | one writer                                                                                   | `integrity`    | tests           |
| I17    | every cycle ends in exactly one of published, held, safe, with a reason, in time             | `availability` | tests           |
| I18    | faults over: NORMAL within two cycles                                                        | `availability` | tests           |
| I19    | memory, queues, threads and files are bounded                                                | `availability` | tests           |
| I20    | what was published can be computed again from the journal, to the byte                       | `availability` | tests           |
| I21    | one alarm per cause, no more than anybody reads                                              | `availability` | tests           |
| I22    | a plan is as good as a cold independent solve, within 1 %                                    | `availability` | tests           |

A floor (I12) is broken by caps that are too low, and a decrease waits for nothing (I7): so the verifier judges floors, and the gate does
not. `ceiling` is the arithmetic of what may be in force.
"""
