"""Slice and 3D views without windows, drawn by Slicer's own displayable managers. Need no Qt.

In the desktop, Qt classes own the views; here the same renderers, view nodes and managers are put together by hand.
"""

import slicer
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

SLICE_MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
VIEW_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
)


class View:
    """A renderer with displayable managers on a window in memory. ``size``: pixels (width, height)."""

    def __init__(self, factoryClass, managers, applicationLogic, size):
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        self._interactor.Initialize()
        factory = factoryClass.GetInstance()
        factory.SetMRMLApplicationLogic(applicationLogic)
        for manager in managers:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self.renderer)
        self.managers.Initialize(factory, self.renderer)

    def image(self):
        """What the view shows: uint8 (row, column, 3), the first row on top."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        output = grabber.GetOutput()
        width, height, _ = output.GetDimensions()
        return vtk_to_numpy(output.GetPointData().GetScalars()).reshape(height, width, 3)[::-1]


class SliceView(View):
    """``name``: Red, Yellow or Green, which decides the orientation."""

    ORIENTATIONS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}

    def __init__(self, mrml, name, size):
        super().__init__(slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_MANAGERS, mrml.applicationLogic, size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._size, self._applicationLogic = size, mrml.applicationLogic
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(mrml.applicationLogic)
        self.logic.SetMRMLScene(mrml.scene)
        self._applicationLogic.GetSliceLogics().AddItem(self.logic)
        node = mrml.scene.GetSingletonNode(name, "vtkMRMLSliceNode") or self.logic.AddSliceNode(name)
        self.logic.SetSliceNode(node)
        node.SetOrientation(self.ORIENTATIONS[name])
        node.SetDimensions(*size, 1)
        self.managers.SetMRMLDisplayableNode(node)
        self._addImage()

    def _addImage(self):
        """The slice's image is no displayable manager's work: in the desktop a Qt class draws it."""
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    def show(self, volume, positionRas=None):
        """The volume in the background, fitted to the view. ``positionRas``: a point in mm that the slice contains."""
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.logic.FitSliceToAll(*self._size)
        if positionRas is not None:
            self.logic.GetSliceNode().JumpSliceByOffsetting(*positionRas)

    def image(self):
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return super().image()

    def close(self):
        self._applicationLogic.GetSliceLogics().RemoveItem(self.logic)


class ThreeDView(View):
    """Surfaces, seen from the front."""

    def __init__(self, mrml, size):
        super().__init__(slicer.vtkMRMLThreeDViewDisplayableManagerFactory, VIEW_MANAGERS, mrml.applicationLogic, size)
        self.node = mrml.scene.GetSingletonNode("1", "vtkMRMLViewNode")
        if self.node is None:
            self.node = mrml.scene.AddNewNodeByClass("vtkMRMLViewNode", "View1")
            self.node.SetLayoutName("1")
            self.node.SetSingletonTag("1")
        self.managers.SetMRMLDisplayableNode(self.node)

    def show(self, isBoxShown=False, azimuth=30.0, elevation=15.0):
        """``azimuth``, ``elevation``: degrees from the front, where the camera stands."""
        self.node.SetBoxVisible(isBoxShown)
        self.node.SetAxisLabelsVisible(isBoxShown)
        manager = self.managers.GetDisplayableManagerByClassName("vtkMRMLCameraDisplayableManager")
        manager.GetCameraNode().RotateTo(slicer.vtkMRMLCameraNode.Anterior)
        camera = self.renderer.GetActiveCamera()
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        self.renderer.ResetCamera()
        camera.Zoom(1.3)
        self.renderer.ResetCameraClippingRange()
