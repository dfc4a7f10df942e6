"""Month: what a site did in a month - key figures by day and in all, availability of contracts, calls of the grid - gaps stated, nothing filled in.

`span` is the time that is told of, `signals` prices and carbon by quarter, `calls` what the grid asked for, `gather` puts it together as a `Told`,
`summary`, `tables` and `page` say it.
"""
