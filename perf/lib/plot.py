# SPDX-License-Identifier: Apache-2.0
"""Charts as SVG, of one panel each, legible on light and dark pages. Bars: one for the median, a whisker from the smallest to the largest.
Curves: medians over a logarithmic axis, each with a whisker."""
import html
import math

WIDTH, ROW, LEFT, RIGHT, TOP = 640, 30, 130, 150, 46
COLOURS = {"sluice": "#1f77b4"}
OTHER = "#9aa5b1"

STYLE = """text { font: 13px sans-serif; fill: #24292f } .title { font-weight: bold; font-size: 14px } .note { font-size: 11px; fill: #57606a }
line { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9da7b3 } line { stroke: #e6edf3 } }"""


def bars(title, note, rows, digits=0, left=LEFT):
    """`rows`: (key, label, median, smallest, largest), the last two equal to the median where nothing was repeated. `left`: room for the
    labels. Returns the SVG."""
    largest = max((row[4] for row in rows), default=0) or 1
    height = TOP + ROW * len(rows) + 10

    def x(value):
        return left + (WIDTH - left - RIGHT) * max(value, 0) / largest

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">',
           f"<style>{STYLE}</style>", f'<text class="title" x="8" y="20">{html.escape(title)}</text>',
           f'<text class="note" x="8" y="37">{html.escape(note)}</text>']
    for number, (key, label, median, smallest, biggest) in enumerate(rows):
        top = TOP + ROW * number
        middle = top + ROW / 2
        out += [f'<text x="{left - 8}" y="{middle + 5}" text-anchor="end">{html.escape(label)}</text>',
                f'<rect x="{left}" y="{top + 5}" width="{max(x(median) - left, 0.5):.1f}" height="{ROW - 10}" '
                f'fill="{COLOURS.get(key, OTHER)}"/>']
        if biggest > smallest:
            out.append(f'<line x1="{x(smallest):.1f}" y1="{middle}" x2="{x(biggest):.1f}" y2="{middle}"/>')
        out.append(f'<text x="{x(biggest) + 8:.1f}" y="{middle + 5}">{median:,.{digits}f}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


PARTS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")


def stacked(title, note, parts, rows):
    """`parts`: what a bar is made of, at most eight; `rows`: (label, the parts' sizes). Returns the SVG."""
    largest = max((sum(sizes) for _, sizes in rows), default=0) or 1
    legend = TOP + ROW * len(rows) + 14
    per_line = 4
    height = legend + 20 * math.ceil(len(parts) / per_line) + 6
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">',
           f"<style>{STYLE}</style>", f'<text class="title" x="8" y="20">{html.escape(title)}</text>',
           f'<text class="note" x="8" y="37">{html.escape(note)}</text>']
    for number, (label, sizes) in enumerate(rows):
        top, at = TOP + ROW * number, float(LEFT)
        out.append(f'<text x="{LEFT - 8}" y="{top + ROW / 2 + 5}" text-anchor="end">{html.escape(label)}</text>')
        for part, size in enumerate(sizes):
            width = (WIDTH - LEFT - 70) * size / largest
            out.append(f'<rect x="{at:.1f}" y="{top + 5}" width="{width:.1f}" height="{ROW - 10}" fill="{PARTS[part]}"/>')
            at += width
        out.append(f'<text x="{at + 8:.1f}" y="{top + ROW / 2 + 5}">{sum(sizes):,.0f}</text>')
    for number, name in enumerate(parts):
        x, y = 8 + 155 * (number % per_line), legend + 20 * (number // per_line)
        out += [f'<rect x="{x}" y="{y}" width="12" height="12" fill="{PARTS[number]}"/>',
                f'<text class="note" x="{x + 18}" y="{y + 10}">{html.escape(name)}</text>']
    return "\n".join([*out, "</svg>"]) + "\n"


CURVES = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")


def curves(title, note, series, across, up, mark=None):
    """`series`: (label, [(x, median, low, high)]); both axes are logarithmic. `across` and `up`: (what it is, where it is marked).
    `mark`: (height, words) of a line that is wanted not to be passed. Returns the SVG."""
    width, height, left, right, top, bottom = 640, 360, 70, 150, 52, 50
    (x_name, x_marks), (y_name, y_marks) = across, up

    def place(value, marks, begin, end):
        low, high = math.log(marks[0]), math.log(marks[-1])
        return begin + (end - begin) * (math.log(max(value, marks[0])) - low) / (high - low)

    def x(value):
        return place(value, x_marks, left, width - right)

    def y(value):
        return place(value, y_marks, height - bottom, top)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">',
           f"<style>{STYLE} .grid {{ stroke: {OTHER}; stroke-width: 0.4 }} .mark {{ stroke-dasharray: 6 4 }}</style>",
           f'<text class="title" x="8" y="20">{html.escape(title)}</text>', f'<text class="note" x="8" y="37">{html.escape(note)}</text>']
    for value in x_marks:
        out += [f'<line class="grid" x1="{x(value):.1f}" y1="{top}" x2="{x(value):.1f}" y2="{height - bottom}"/>',
                f'<text class="note" x="{x(value):.1f}" y="{height - bottom + 16}" text-anchor="middle">{value:g}</text>']
    for value in y_marks:
        out += [f'<line class="grid" x1="{left}" y1="{y(value):.1f}" x2="{width - right}" y2="{y(value):.1f}"/>',
                f'<text class="note" x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>']
    out += [f'<text class="note" x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">{html.escape(x_name)}</text>',
            f'<text class="note" x="16" y="{(top + height - bottom) / 2}" text-anchor="middle" '
            f'transform="rotate(-90 16 {(top + height - bottom) / 2})">{html.escape(y_name)}</text>']
    if mark:
        out += [f'<line class="mark" x1="{left}" y1="{y(mark[0]):.1f}" x2="{width - right}" y2="{y(mark[0]):.1f}"/>',
                f'<text class="note" x="{width - right + 8}" y="{y(mark[0]) + 4:.1f}">{html.escape(mark[1])}</text>']
    for number, (label, points) in enumerate(series):
        colour = CURVES[number % len(CURVES)]
        aside = 3 * (number - (len(series) - 1) / 2)  # so that whiskers do not hide each other
        line = " ".join(f"{x(at) + aside:.1f},{y(median):.1f}" for at, median, _, _ in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for at, median, low, high in points:
            out += [f'<line x1="{x(at) + aside:.1f}" y1="{y(low):.1f}" x2="{x(at) + aside:.1f}" y2="{y(high):.1f}" style="stroke: {colour}"/>',
                    f'<circle cx="{x(at) + aside:.1f}" cy="{y(median):.1f}" r="3" fill="{colour}"/>']
        out += [f'<rect x="{width - right + 8}" y="{top + 20 * number}" width="12" height="12" fill="{colour}"/>',
                f'<text x="{width - right + 26}" y="{top + 20 * number + 11}">{html.escape(label)}</text>']
    return "\n".join([*out, "</svg>"]) + "\n"
