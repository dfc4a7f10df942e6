"""Page: drawing, and nothing else; the only room that knows NiceGUI.

`tiles` and `charts` are pure: a frame becomes HTML and options of charts, made once for everybody. `screen` is one browser's page,
`listing` a table that is searched, sorted and paged here, so that ten thousand jobs cost a browser as much as twenty-five.
"""
