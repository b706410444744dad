"""From a notebook to a part of a page."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter


def execute(notebook: str | Path, executed: str | Path, parameters: dict) -> str:
    """Run a notebook with parameters and give what it shows.

    Parameters
    ----------
    notebook : path
    executed : path
        Where the notebook is kept with its outputs.
    parameters : dict

    Returns
    -------
    str
        HTML without code, for the body of a page.
    """
    papermill.execute_notebook(
        str(notebook), str(executed), parameters=parameters, kernel_name="python3", progress_bar=False
    )
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(nbformat.read(executed, as_version=4))
    return body
