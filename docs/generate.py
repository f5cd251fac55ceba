"""Write docs/recipe.md from the schema; with --check only say whether it is up to date."""

import sys
from pathlib import Path

from luthier.recipe.reference import reference

TARGET = Path(__file__).with_name("recipe.md")


def main() -> None:
    text = reference()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != text:
        sys.exit("docs/recipe.md is not what the schema says; run `make docs`.")


if __name__ == "__main__":
    main()
