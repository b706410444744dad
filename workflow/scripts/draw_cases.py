"""Draw the cases of a family.

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

with at_the_door(snakemake.log[0]):
    cases = case_dataset(
        snakemake.wildcards.family,
        snakemake.params.purpose,
        snakemake.params.first_case,
        snakemake.params.case_count,
    )
    datasets.write(cases, snakemake.output[0], "cases")
