"""Classes of the desktop that the host knows by name only."""


def absentClass(name):
    """A class that code may mention, as Slicer's parameterNodeWrapper does, but not use."""

    def refuse(_self, *_arguments, **_options):
        raise NotImplementedError(f"The host has no stand-in for {name}. Add one in Testing/host/widgets.")

    return type(name, (), {"__init__": refuse})
