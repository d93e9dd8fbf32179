"""The text of 'Copy report': what a maintainer needs to know of an installation and a run, and no name and no path.

In English whatever the panel's language is: the maintainers read it.
"""

import importlib.metadata
import os
import platform
import re
import tempfile

import slicer
import slicer.util
import vtk
from RRLMedSAMEngine import __version__, protocol

from . import installed, models
from .resultnodes import readReport
from .sceneinput import roleNames

COMMON = {"segment", "slice", "volume", "model"}  # in names that Slicer itself gives
SHORTEST_NAME = 4  # letters; less is part of too many ordinary words
QUOTED_PATH = r"""(["'])[^"'\n]*[/\\][^"'\n]*\1"""
# From a path's beginning to the last separator of the line: folders' names have blanks, which end nothing.
ABSOLUTE_PATH = r"""(?<![\w/\\"'])(?:[A-Za-z]:|~)?[/\\][^\n]*[/\\]\S*"""
# What is left of others. "mm/s" and "1/2" are no paths.
RELATIVE_PATH = r"(?<!\S)(?!\w{1,4}/\w{1,4}[.,;:)]?(?!\S))\S*[/\\]\S*"


def reportText(parameterNode, log):
    """``parameterNode``: the choices, and the result that the panel shows. ``log``: the panel's; names are removed."""
    report = readReport(parameterNode.resultSegmentation)
    lines = ["RRLMedSAM report", "", *_versions(), "", *_choices(parameterNode)]
    texts = ["", "Log:", log.strip() or "(empty)"]
    if report is not None:
        lines += ["", *_lastRun(report)]
        texts = [*(f"Warning: {text}" for text in report["warnings"]), *texts]
    return "\n".join([*lines, anonymous("\n".join(texts), [*_machineNames(), *sceneNames()])]) + "\n"


def anonymous(text, names):
    """The text without paths and without these names, nor their parts.

    Of the path of a Python file the file's own name stays: an error's last lines need it.
    """
    for folder in (os.path.expanduser("~"), tempfile.gettempdir()):
        text = text.replace(folder, "/folder")
    for pattern in (QUOTED_PATH, ABSOLUTE_PATH, RELATIVE_PATH):
        text = re.sub(pattern, _withoutFolders, text)
    ours = COMMON.union(re.findall(r"\w+", " ".join(roleNames().values()).lower()))
    parts = {part for name in names for part in (name, *re.split(r"[\W_]+", name))}
    for name in sorted(parts, key=len, reverse=True):
        if len(name) >= SHORTEST_NAME and not name.isdigit() and not ours.issuperset(name.lower().split()):
            # Not inside of a longer word; underscores join names to other words.
            text = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", "<name>", text, flags=re.IGNORECASE)
    return text


def sceneNames():
    """What the scene's data are called, and its patients, studies and folders."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    names = {hierarchy.GetItemName(items.GetId(n)) for n in range(items.GetNumberOfIds())}
    return names | {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode")}


def _machineNames():
    return [platform.node(), os.path.basename(os.path.expanduser("~"))]


def _withoutFolders(match):
    file = re.match(r"[\w-]+\.py\b[^\"']*", re.split(r"[/\\]", match.group())[-1])
    return file.group() if file else "<path>"


def _versions():
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield f"RRLMedSAM {__version__}, Slicer {slicer.app.applicationVersion}, Python {platform.python_version()}"
    yield f"{system}, {os.cpu_count()} processors"
    yield ", ".join(f"{package} {_version(package)}" for package in protocol.PACKAGES)
    for package, own in installed.workers().items():
        yield f"For the worker alone: {package} {own.version}"


def _version(package):
    """By the installed files: PyTorch is never imported here."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _choices(parameterNode):
    chosen = parameterNode
    yield f"Effort {chosen.effort.value}, device {chosen.device.value}, model {_modelName(chosen.model)}"
    for role, name in roleNames().items():
        yield f"{name}: {_kind(getattr(chosen, role))}"


def _kind(node):
    """A node's class, size and voxels; its name may be a patient's."""
    if node is None:
        return "none"
    text = node.GetClassName().removeprefix("vtkMRML").removesuffix("Node")
    if node.IsA("vtkMRMLSegmentationNode"):
        return f"{text}, {node.GetSegmentation().GetNumberOfSegments()} segments"
    image = node.GetImageData()
    if image is None:
        return f"{text}, empty"
    size = " x ".join(str(count) for count in image.GetDimensions())
    spacing = " x ".join(f"{length:.3g}" for length in node.GetSpacing())
    return f"{text}, {size} voxels of {spacing} mm, {image.GetScalarTypeAsString()}"


def _modelName(value):
    known = value in (models.AUTOMATIC, models.INSTANT) or value in models.shipped()
    return value if known else "own package"


def _lastRun(report):
    yield "Result that is shown:"
    yield f"Made by {report['version']} on {report['device']}, model {_modelName(report.get('model', models.INSTANT))}"
    settings = {name: value for name, value in report["settings"].items() if name != "model"}
    yield ", ".join(f"{name} {value}" for name, value in settings.items())
    yield "Seconds: " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in report["seconds"].items())
    yield f"Structures: {len(report['structures'])}, folded voxels {report['folding_percent']:.2f} %"
    yield f"Inverse consistency {report['inverse_consistency_mm']['mean']:.2f} mm"
