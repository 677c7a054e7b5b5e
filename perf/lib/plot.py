# SPDX-License-Identifier: Apache-2.0
"""Bar charts as SVG, of one panel each: a bar for the median, a whisker from the smallest to the largest. Legible on light and dark pages."""
import html

WIDTH, ROW, LEFT, RIGHT, TOP = 640, 30, 130, 150, 46
COLOURS = {"sluice": "#1f77b4"}
OTHER = "#9aa5b1"

STYLE = """text { font: 13px sans-serif; fill: #24292f } .title { font-weight: bold; font-size: 14px } .note { font-size: 11px; fill: #57606a }
line { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9da7b3 } line { stroke: #e6edf3 } }"""


def bars(title, note, rows, digits=0):
    """`rows`: (key, label, median, smallest, largest), the last two equal to the median where nothing was repeated. Returns the SVG."""
    largest = max((row[4] for row in rows), default=0) or 1
    height = TOP + ROW * len(rows) + 10

    def x(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * max(value, 0) / largest

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">',
           f"<style>{STYLE}</style>", f'<text class="title" x="8" y="20">{html.escape(title)}</text>',
           f'<text class="note" x="8" y="37">{html.escape(note)}</text>']
    for number, (key, label, median, smallest, biggest) in enumerate(rows):
        top = TOP + ROW * number
        middle = top + ROW / 2
        out += [f'<text x="{LEFT - 8}" y="{middle + 5}" text-anchor="end">{html.escape(label)}</text>',
                f'<rect x="{LEFT}" y="{top + 5}" width="{max(x(median) - LEFT, 0.5):.1f}" height="{ROW - 10}" '
                f'fill="{COLOURS.get(key, OTHER)}"/>']
        if biggest > smallest:
            out.append(f'<line x1="{x(smallest):.1f}" y1="{middle}" x2="{x(biggest):.1f}" y2="{middle}"/>')
        out.append(f'<text x="{x(biggest) + 8:.1f}" y="{middle + 5}">{median:,.{digits}f}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
