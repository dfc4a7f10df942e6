"""Style: the page's own sheet, beside this file."""

from pathlib import Path
from typing import Final

CSS: Final = (Path(__file__).parent / "console.css").read_text(encoding="utf-8")
