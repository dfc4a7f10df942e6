"""Metrics: what Prometheus and who watches over the process are told, over HTTP, while the loop that guards waits for none of them.

| room | what | room | what |
|---|---|---|---|
| server | HTTP: who asks, how many at once, for how long | page | figures as text, made once for all who ask |
| power, work, watch | figures as metrics | family | how metrics are put together |
| show | where loop and server meet | figures | what the loop hands over, once a second at most |
| sums | energy, money and waiting, added up | address, serving | where to listen, and for how long |
| dashboard | for Grafana | alert_rules.yaml | for Prometheus; `shipped` gives both |

The loop only copies what it knows already; everything is reckoned by the thread of whoever asks, from values that never change.
"""
