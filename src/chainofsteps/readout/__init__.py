"""From decoded clean estimates to plans, branch masses and commitment."""

from chainofsteps.readout.features import commitment_step, extract_features, state_entropy

__all__ = ["commitment_step", "extract_features", "state_entropy"]
