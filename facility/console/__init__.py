"""The operator's console: a page in the browser that is a client of the bus and of nothing else.

What it shows is what the bus told (`model`), what it does are messages that any MQTT client may send (`acts`, `asking`). The rooms:

| room       | what it is                                                                             |
|------------|----------------------------------------------------------------------------------------|
| `model`    | what was heard, and what follows from it for who looks; pure, with the clock handed in |
| `hub`      | the bus, heard in a thread; once a second at most, a frame of all that is to be drawn  |
| `page`     | drawing: tiles, tables, charts, dialogs; the only room that knows NiceGUI              |
| `acts`     | what an operator does: a message, its answer, a line in the shift log                  |
| `post`     | how a message goes out and its answer comes back, or does not                          |
| `asking`   | what an override would do, and why something is as it is: asked of the daemon          |
| `access`   | who may look and who may act: users, sessions, a proxy's word; the door before it all  |
| `shift`    | the shift log: a file to which lines are only ever added                               |
| `past`     | what the history database tells of the last hour, day and week                         |

A frame is made once and shown to everybody; each browser is sent only what is new to it.
"""
