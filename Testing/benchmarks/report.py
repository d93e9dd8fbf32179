"""Table and plots of a benchmark's rows."""

import numpy as np

COLUMNS = {
    "dice": "Dice",
    "hd95_mm": "HD95 mm",
    "warped_dice": "Dice, warped labels",
    "local_correlation": "local correlation",
    "folding_percent": "folding %",
    "inverse_consistency_mm": "inverse consistency mm",
    "seconds": "seconds",
    "peak_memory_gb": "peak GB",
}


def table(rows: list[dict]) -> str:
    """Markdown: the mean of each figure, one line a method; of Dice the lowest and the highest too."""
    methods = list(dict.fromkeys(row["method"] for row in rows))
    lines = ["| method | cases | lowest | highest | " + " | ".join(COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 4) + "|")
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        dice = [row["dice"] for row in own]
        cells = [method, str(len(own)), f"{min(dice):.3f}", f"{max(dice):.3f}"]
        for key in COLUMNS:
            values = [row[key] for row in own if row.get(key) is not None]
            cells.append(f"{np.mean(values):.4g}" if values else "")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(rows: list[dict], path) -> None:
    """Dice of each structure (mean over the cases), and of each case, as a picture."""
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys(row["method"] for row in rows))
    structures = sorted({name for row in rows for name in row["groups"]})
    cases = list(dict.fromkeys(row["case"] for row in rows))
    figure = Figure(figsize=(9, 1.5 + 0.22 * max(len(structures), len(cases))), layout="constrained")
    by_structure, by_case = figure.subplots(1, 2)
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        means = [np.mean([row["groups"][s] for row in own if s in row["groups"]] or [np.nan]) for s in structures]
        by_structure.plot(means, structures, "o", label=method)
        by_case.plot([row["dice"] for row in own], [row["case"] for row in own], "o", label=method)
    for axes, title in ((by_structure, "structures"), (by_case, "cases")):
        axes.set_xlabel("Dice")
        axes.set_title(title)
        axes.grid(axis="x", alpha=0.3)
    by_case.legend()
    figure.savefig(path, dpi=100)
