"""Reads a scene bundle and draws its first result: `python -m demo.picture scene.mrb views.png`.

A process of its own: where the system has no OpenGL, VTK ends the process, and only the picture is lost then.
"""

import sys


def draw(scenePath, picturePath):
    from host.runtime import boot

    mrml = boot()
    import slicer
    from host.files import loadScene
    from host.picture import fourUp, writePng

    loadScene(scenePath)
    nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    result = next(node for node in nodes if node.GetAttribute("RRLMedSAM.isResult"))
    for node in nodes:
        node.GetDisplayNode().SetVisibility(node is result)
    result.GetDisplayNode().SetOpacity2DFill(0.4)
    target = result.GetNodeReference(result.GetReferenceImageGeometryReferenceRole())
    writePng(fourUp(mrml, target, result, size=(560, 460)), picturePath)


if __name__ == "__main__":
    draw(*sys.argv[1:])
