"""The panel's rows for the model: the list, what the choice is, its card, and the way to a package of one's own."""

import qt

from . import models
from .dialogs import chosenFile
from .messages import _


class ModelView:
    """``ui``: the panel's widgets; ``onChosen``: called with the new value of the parameter ``model``."""

    def __init__(self, ui, onChosen):
        self.ui = ui
        self._onChosen = onChosen
        self._values = []  # of the list's rows
        self._packages = []  # those that were chosen in this scene, and names that are not shipped any more
        self._choice = None
        ui.modelComboBox.connect("currentIndexChanged(int)", self.onIndexChanged)
        ui.modelButton.clicked.connect(self.onModelButton)
        ui.modelCardButton.toggled.connect(self.onCardToggled)

    @property
    def problem(self):
        """Why the model that is shown cannot be used, or None."""
        return self._choice.problem

    def show(self, value):
        """``value``: of the parameter ``model``. Files are looked at each time: they come and go."""
        self._fill(value)
        self._choice = choice = models.choice(value)
        hint, card = self.ui.modelHintLabel, choice.card
        hint.setText(choice.hint)
        hint.setEnabled(choice.problem is not None)  # grey as the other hints, unless something is wrong
        toolTip = value if models.isPackage(value) else _("Learned weights that help the registration, or none.")
        self.ui.modelComboBox.setToolTip(toolTip)
        self.ui.modelCardLabel.setText(models.cardText(card) if card is not None else "")
        self.ui.modelCardButton.setVisible(card is not None)
        self._showCard()

    def forget(self):
        """Another scene: the packages chosen in this one are no longer offered."""
        self._packages = []

    def _fill(self, value):
        """Brings the list up to date and selects the value in it."""
        box = self.ui.modelComboBox
        known = [models.AUTOMATIC, models.INSTANT, *models.shipped()]
        if value not in known and value not in self._packages:
            self._packages.append(value)
        values = [*known, *self._packages]
        wasBlocked = box.blockSignals(True)
        if values != self._values:
            self._values = values
            box.clear()
            for each in values:
                box.addItem(models.label(each))
        box.setCurrentIndex(values.index(value))
        box.blockSignals(wasBlocked)

    def _showCard(self):
        isOpen = self.ui.modelCardButton.checked
        self.ui.modelCardButton.setArrowType(qt.Qt.DownArrow if isOpen else qt.Qt.RightArrow)
        self.ui.modelCardLabel.setVisible(isOpen and self._choice.card is not None)

    def onIndexChanged(self, index):
        self._onChosen(self._values[index])

    def onModelButton(self, _checked=False):
        path = chosenFile(self.ui.modelButton, _("Choose a model"), _("Model packages"), models.ENDING)
        if path is not None:
            self._onChosen(path)

    def onCardToggled(self, _checked):
        self._showCard()
