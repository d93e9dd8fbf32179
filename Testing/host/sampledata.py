"""What module code gets from `import SampleData`: the list of samples, without the module's panel and downloads."""

import slicer


class SampleDataSource:
    """A sample: files with a name each, and the nodes that they become."""

    def __init__(
        self,
        sampleName,
        uris,
        fileNames,
        nodeNames,
        customDownloader,
        thumbnailFileName,
        loadFileTypes,
        loadFiles,
        loadFileProperties,
        checksums,
    ):
        if isinstance(uris, str):
            uris, fileNames, nodeNames = [uris], [fileNames], [nodeNames]
        if not len(uris) == len(fileNames) == len(nodeNames):
            raise ValueError("All fields of sample data source must have the same length")
        self.sampleName, self.sampleDescription = sampleName, sampleName
        self.uris, self.fileNames, self.nodeNames = uris, fileNames, nodeNames
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        self.loadFileTypes, self.loadFiles, self.loadFileProperties = loadFileTypes, loadFiles, loadFileProperties
        self.checksums = checksums

    def __eq__(self, other):
        return vars(self) == vars(other)


class SampleDataLogic:
    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties={},  # noqa: B006  as in Slicer
        checksums=None,
    ):
        """Lists the sample in slicer.modules.sampleDataSources, once."""
        source = SampleDataSource(
            sampleName, uris, fileNames, nodeNames, customDownloader, thumbnailFileName, loadFileTypes, loadFiles,
            loadFileProperties, checksums,
        )  # fmt: skip
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if source not in sources:
            sources.append(source)
