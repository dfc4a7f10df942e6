"""Capacity: how many more GPUs fit under the connection that a site has, if they may be slowed where it is short.

In each hour of a span every limit of the site is the largest of some straight lines in the number of added GPUs (`lines`), so what an hour
takes is a quotient, and what the span takes is its tightest hour's:

    load[c,t](n) = max over lines l of  alpha[c,l,t] + beta[c,l,t] * n  <=  most[c,t]
    gpus[c,t]    = min over lines l of  (most[c,t] - alpha[c,l,t]) / beta[c,l,t]
    n            = floor of the least gpus[c,t] over limits c and hours t

| symbol      | name                                                                                | unit |
|-------------|-------------------------------------------------------------------------------------|------|
| n           | GPUs that are added                                                                 | GPUs |
| most        | what a limit allows: the connection's limit, a rating, what a plant removes         | kW   |
| alpha, beta | load without added GPUs and per added GPU, along one segment of the cooling's curve | kW   |

`contracted` is the site as it is rented out, without whatever holds only for a while; `present` is what that draws, at full speed and as slow
as its contracts let it be; `place` is where GPUs could stand and what one of them draws; `span` goes through the hours, month by month;
`gear` is what a new hall brings with it, `lines` and `limits` are the formulas above, `reach` and `shortage` what they come to for a number
of GPUs, `waiting` what jobs that wait add; `answer` puts all of it together, `check` has plans confirm it, `telling` and `page` tell of it.
"""
