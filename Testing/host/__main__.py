"""`python -m host`: the RRLMedSAM panel in a window, or in a picture."""

import argparse
import pathlib
import sys

from .runtime import boot, hasDisplay

MODULE = pathlib.Path(__file__).resolve().parents[2] / "RRLMedSAM" / "RRLMedSAM.py"
NO_DISPLAY = (
    "There is no display to open the panel on. Start it on a desktop, or write a picture with --screenshot panel.png."
)


def main(arguments=None):
    """Returns the exit code: 0, or 2 where a window is asked for without a display."""
    parser = argparse.ArgumentParser(prog="python -m host", description=__doc__)
    parser.add_argument("--scene", metavar="MRB", help="open this scene first")
    parser.add_argument("--screenshot", metavar="PNG", help="write a picture of the window and end")
    options = parser.parse_args(arguments)
    if not options.screenshot and not hasDisplay():
        print(NO_DISPLAY, file=sys.stderr)
        return 2
    mrml = boot(isTesting=bool(options.screenshot))
    import slicer

    from .events import screenshot
    from .files import loadScene
    from .load import loadModule
    from .window import Window

    loaded = loadModule(MODULE)
    window = Window(loaded, mrml)
    if options.scene:
        loadScene(options.scene)
    window.show()
    slicer.app.processEvents()
    window.updateViews()
    if options.screenshot:
        screenshot(window, options.screenshot)
    else:
        slicer.app.exec()
    loaded.unload()
    return 0


if __name__ == "__main__":
    sys.exit(main())
