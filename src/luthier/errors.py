"""Every error that luthier raises on purpose.

LuthierError            a sentence for a person: what was expected, what came, what to do; exit code 2
├── RecipeError         the recipe cannot be used; lists every mistake at once
├── DataError           files, columns, rows, labels or splits
├── ModelError          the base model, its tokenizer or its weights
├── RunError            the run folder: absent, in use, made by another recipe
│   └── CheckpointError a checkpoint is damaged or does not fit the model
├── TrainError          training cannot go on
│   └── DivergedError   the loss is NaN, infinite or explodes
├── DiskFullError       not enough free space to write what must be written
└── ExtraError          an optional package is not installed
"""


class LuthierError(Exception):
    """Base of all errors meant for the user's eyes. Its text is shown as it is, without a traceback."""


class RecipeError(LuthierError):
    """The recipe has mistakes; the message lists all of them with file, line and suggestion."""


class DataError(LuthierError):
    """The data cannot be used as they are."""


class ModelError(LuthierError):
    """The base model cannot be found, loaded or used for this task."""


class RunError(LuthierError):
    """The run folder cannot be used."""


class CheckpointError(RunError):
    """A checkpoint is damaged or belongs to another model."""


class TrainError(LuthierError):
    """Training cannot go on."""


class DivergedError(TrainError):
    """The loss became NaN or infinite."""


class DiskFullError(LuthierError):
    """There is too little free space on the disk."""


class ExtraError(LuthierError):
    """An optional package is needed and not installed."""
