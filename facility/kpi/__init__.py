"""Key figures: what a site's meters counted over a span, as the figures that ISO/IEC 30134 and the Union's reporting scheme ask for. Pure.

`effectiveness` has the ratios, `metered` what was counted in each interval, `indicators` the figures of a span, each with what it is made of
or why it is not known, `annex` those of Delegated Regulation (EU) 2024/1364, `work` work per kWh, `baseline` and `delivery` flexibility.
"""
