"""Blocks, marks, headings, sections and links of a page."""

from __future__ import annotations

from checks import links, markdown

PAGE = """\
# One

```python
a = 1  # not a heading:
# Two
```

## Quickstart

<!-- not run: needs a printer -->

```sh
print
```

<!-- file: hub.py -->
```python
b = 2
```

### Inner

~~~console
$ echo one
one
~~~

## After `all`

````markdown
```python
inside = True
```
````

  ```python
  if a:
      b
  ```
"""


def test_blocks_and_marks() -> None:
    found = [(block.language, block.text, block.not_run, block.file) for block in markdown.blocks(PAGE)]
    assert found == [
        ("python", "a = 1  # not a heading:\n# Two\n", None, None),
        ("sh", "print\n", "needs a printer", None),
        ("python", "b = 2\n", None, "hub.py"),
        ("console", "$ echo one\none\n", None, None),
        ("markdown", "```python\ninside = True\n```\n", None, None),
        ("python", "if a:\n    b\n", None, None),
    ]


def test_lines_are_those_of_the_fences() -> None:
    lines = PAGE.splitlines()
    for block in markdown.blocks(PAGE):
        assert lines[block.line - 1].strip()[:3] in ("```", "~~~")
        assert lines[block.end - 1].strip()[:3] in ("```", "~~~")


def test_unclosed_fence_ends_with_the_page() -> None:
    assert [block.text for block in markdown.blocks("```sh\nls\n")] == ["ls\n"]


def test_headings_are_outside_of_code() -> None:
    assert [(heading.level, heading.title) for heading in markdown.headings(PAGE)] == [
        (1, "One"),
        (2, "Quickstart"),
        (3, "Inner"),
        (2, "After `all`"),
    ]


def test_section_holds_its_inner_sections() -> None:
    assert [block.language for block in markdown.section(PAGE, "Quickstart")] == ["sh", "python", "console"]
    assert markdown.section(PAGE, "Nowhere") == []


def test_anchors_are_those_of_the_page_and_repeated_ones_are_numbered() -> None:
    text = '# A b, c!\n## A b, c!\n# `x_y` [of](z.md)\n# Ümlaut\n<a id="hand"></a>\n'
    assert links.anchors(text) == {"a-b-c", "a-b-c-1", "x_y-of", "ümlaut", "hand"}


def test_targets_leave_code_out() -> None:
    text = '[a](b.md) `[c](d.md)` ![e](f.png "title") [`g`](h.md#i)\n[j]: k.md\n```\n[l](m.md)\n```\n[n](<o p>)'
    assert links.targets(text) == ["b.md", "f.png", "h.md#i", "k.md"]
