"""A MRML scene with the logics that Slicer's modules bring. Needs no Qt."""

import os
import types

import slicer
import slicer.util
import vtk

from .colours import writeColourFiles

# Key under which Slicer's own logics ask the application logic for each other: class.
MODULE_LOGICS = {
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Colors": "vtkSlicerColorLogic",
    "Units": "vtkSlicerUnitsLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Models": "vtkSlicerModelsLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Texts": "vtkSlicerTextsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Cameras": "vtkSlicerCamerasModuleLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
}


class Mrml:
    """``scene``, ``applicationLogic`` and ``logics`` by module name; the logics register their node classes.

    ``temporaryFolder``: an empty folder; scene bundles (.mrb) are unpacked there.
    """

    def __init__(self, temporaryFolder):
        self.scene = slicer.vtkMRMLScene()
        self.applicationLogic = slicer.vtkSlicerApplicationLogic()
        self.applicationLogic.SetTemporaryPath(temporaryFolder)
        self.applicationLogic.SetHomeDirectory(temporaryFolder)
        self.applicationLogic.SetShareDirectory("share")
        writeColourFiles(os.path.join(temporaryFolder, "share"))
        self._setDataIO(os.path.join(temporaryFolder, "cache"))
        # Before the module logics: the one of Markups asks for it.
        self.applicationLogic.SetMRMLScene(self.scene)
        self.applicationLogic.SetMRMLSceneDataIO(self.scene, self._remoteIO, self._dataIO)
        # What the slice views register themselves in.
        self.applicationLogic.SetSliceLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.logics = {name: self._addLogic(name, className) for name, className in MODULE_LOGICS.items()}

    def _setDataIO(self, cacheFolder):
        """Without a cache folder no .mrb can be read."""
        self._remoteIO = slicer.vtkMRMLRemoteIOLogic()
        self._remoteIO.SetMRMLApplicationLogic(self.applicationLogic)
        self._remoteIO.GetCacheManager().SetRemoteCacheDirectory(cacheFolder)
        self._remoteIO.SetMRMLScene(self.scene)
        self._dataIO = slicer.vtkDataIOManagerLogic()
        self._dataIO.SetMRMLApplicationLogic(self.applicationLogic)
        self._dataIO.SetAndObserveDataIOManager(self._remoteIO.GetDataIOManager())

    def _addLogic(self, name, className):
        logic = getattr(slicer, className)()
        self.applicationLogic.SetModuleLogic(name, logic)
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        logic.SetMRMLScene(self.scene)
        return logic

    def install(self):
        """Sets slicer.mrmlScene and slicer.modules.<name>.logic() as Slicer does."""
        slicer.mrmlScene = self.scene
        slicer.modules = types.ModuleType("slicer.modules")
        for name, logic in self.logics.items():
            entry = types.SimpleNamespace(name=name, logic=lambda logic=logic: logic)
            setattr(slicer.modules, name.lower(), entry)

    def clear(self):
        """Empties the scene. As in Slicer the application's own nodes stay; the modules' parameter nodes do not."""
        self.scene.Clear(False)
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode", self.scene):
            self.scene.RemoveNode(node)
