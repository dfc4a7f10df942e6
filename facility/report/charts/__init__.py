"""Charts: panels made of arrays, each for one question, in the colours of `ink`; `planned` says which of them a plan has something for."""

from facility.report.charts.ink import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

__all__ = ["BLUE", "GREEN", "GREY", "ORANGE", "PURPLE", "RED", "SKY"]
