"""`luthier` that says how many models are still wrapped when its group of processes ends."""

import gc
from typing import Any

from accelerate import Accelerator
from torch.nn.parallel import DistributedDataParallel

from luthier.__main__ import main

end = Accelerator.end_training


def watched(self: Any) -> None:
    wrapped = sum(type(one) is DistributedDataParallel for one in gc.get_objects())
    print(f"wrapped at the end: {wrapped}", flush=True)
    end(self)


if __name__ == "__main__":
    Accelerator.end_training = watched  # type: ignore[method-assign]
    main()
