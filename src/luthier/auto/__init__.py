"""`luthier auto`: the best base model, method and learning rate in the minutes that there are, without a choice to make.

rung 0     a linear probe on the frozen vectors of each base model, by training rows alone            (probing.py)
wave 1     the recipe as it stands, and each base model with each method at the method's own rate     (candidates.py)
  rung 1     each to its end where there is time for all, else a third of its training, or a ninth    (race.py)
  rung 2     the best third goes on from its checkpoint to the end, the recipe as it stands always    (halving.py)
wave 2     the best with three times its rate, and with a third of it; likewise in rungs
wave 3 ... around the best again, while a wave has gained more than the interval

The end: the time is over, or a wave has gained nothing that the rows can show. Then, and not before, the test rows are scored,
for the winner alone (finish.py).

Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization": successive halving.
"""

RECORD, LEDGER, BEST, PAGE, FACTS = "auto.yaml", "ledger.json", "best.yaml", "auto.html", "auto.json"
"""The recipe as the search was given it, what was tried so far, the recipe that came out best, and the report."""
