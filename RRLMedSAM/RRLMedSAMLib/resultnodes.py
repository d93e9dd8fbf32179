"""The nodes of a run that is over: what each is, what it was made from, and how good it is."""

import json

import slicer.util

from .sceneinput import IS_RESULT, roleNames

ATTRIBUTE = "RRLMedSAM."  # prefix of node attributes and reference roles


def markAsResult(segmentation, others, report, sources):
    """Writes into a result's nodes how they were made. They refer to nodes, not to names, which may be patients'.

    ``others``: the other nodes of the run. ``sources``: the nodes that it was made from, by role.
    """
    segmentation.SetAttribute(ATTRIBUTE + "report", json.dumps(report))
    for node in (segmentation, *others):
        for key, value in {"version": report.get("version"), **report.get("settings", {})}.items():
            node.SetAttribute(ATTRIBUTE + key, str(value))
        node.SetAttribute(IS_RESULT, "1")
        for role, source in sources.items():
            node.SetNodeReferenceID(ATTRIBUTE + role, source.GetID())
    addCompanions(segmentation, others)


def addCompanions(segmentation, nodes):
    """Makes nodes known as belonging to a result."""
    for node in nodes:
        segmentation.AddNodeReferenceID(ATTRIBUTE + "result", node.GetID())


def markAsRefined(segmentation, origin):
    """Says which corrected result it was refined from, whose transforms are its own as well."""
    segmentation.SetNodeReferenceID(ATTRIBUTE + "refinedFrom", origin.GetID())
    addCompanions(segmentation, [node for node in companions(origin) if node.IsA("vtkMRMLTransformNode")])


def results():
    """The segmentation nodes of the scene that runs made, the first run's first."""
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return [node for node in nodes if node.GetAttribute(IS_RESULT)]


def readReport(segmentationNode):
    """The report kept in a result's segmentation node, or None. Its structures have a ``segment`` (ID)."""
    text = segmentationNode.GetAttribute(ATTRIBUTE + "report") if segmentationNode else None
    return json.loads(text) if text else None


def targetOf(segmentationNode):
    """The volume that a result was made for, or None."""
    return segmentationNode.GetNodeReference(ATTRIBUTE + "target")


def sourcesOf(segmentationNode):
    """The nodes that a result was made from, by role, as far as they are still in the scene."""
    nodes = {role: segmentationNode.GetNodeReference(ATTRIBUTE + role) for role in roleNames()}
    return {role: node for role, node in nodes.items() if node is not None}


def confidenceOf(segmentationNode):
    """The confidence volume of the run that made the segmentation, or None."""
    return next((node for node in companions(segmentationNode) if node.IsA("vtkMRMLVolumeNode")), None)


def transformOf(segmentationNode):
    """The transform from atlas to target of that run, or None."""
    target = targetOf(segmentationNode)
    for node in companions(segmentationNode):
        if node.IsA("vtkMRMLTransformNode") and node.GetNodeReference(node.GetFixedNodeReferenceRole()) is target:
            return node
    return None


def refinedFrom(segmentationNode):
    """The corrected result that this one was refined from, or None."""
    return segmentationNode.GetNodeReference(ATTRIBUTE + "refinedFrom")


def isExample(segmentationNode):
    """Whether a result was chosen to be learnt from, as a labelled example."""
    return segmentationNode.GetAttribute(ATTRIBUTE + "example") == "1"


def setExample(segmentationNode, isOne):
    segmentationNode.SetAttribute(ATTRIBUTE + "example", "1" if isOne else None)


def companions(segmentationNode):
    """The other nodes of the run that made the segmentation, as far as they are still in the scene."""
    role = ATTRIBUTE + "result"
    count = segmentationNode.GetNumberOfNodeReferences(role)
    nodes = [segmentationNode.GetNthNodeReference(role, number) for number in range(count)]
    return [node for node in nodes if node is not None]
