"""Draw the cases of a family, under the registration of what is claimed of them.

========================  =======================  ======
variable                  dims                     unit
========================  =======================  ======
case_seed, difficulty     case                     1
prompt, world             case                     1
plan                      case, frame              1
first_frame               case, y, x, channel      1
ground_truth              case, frame, y, x, ...   1
========================  =======================  ======
"""

from chainofsteps import datasets
from chainofsteps.readout.cases import case_dataset
from chainofsteps.refusal import at_the_door
from chainofsteps.statistics.registration import NONE, read_registration

with at_the_door(snakemake.log[0]):
    params = snakemake.params
    cases = case_dataset(
        params.family,
        params.purpose,
        params.first_case,
        params.case_count,
        field=params.field,
        solved=params.solved,
    )
    registration = snakemake.input.get("registration")
    cases.attrs["registration"] = read_registration(registration[0])[1] if registration else NONE
    datasets.write(cases, snakemake.output[0], "cases")
