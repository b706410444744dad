"""Notebooks, executed, as HTML that needs no network."""

from __future__ import annotations

from pathlib import Path

import nbformat
import papermill
from nbconvert import HTMLExporter


def execute(notebook: str | Path, executed: str | Path, parameters: dict[str, object]) -> str:
    """Run a notebook and give what it says and shows, without its code.

    Parameters
    ----------
    notebook : path
        A papermill template.
    executed : path
        Where the executed notebook goes.
    parameters : dict
        Values for its cell of parameters.

    Returns
    -------
    str
        HTML for the body of a page.
    """
    papermill.execute_notebook(notebook, executed, parameters=parameters, kernel_name="python3", progress_bar=False)
    document = nbformat.read(executed, as_version=4)
    for cell in document.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.id = f"{Path(notebook).stem}-injected"  # papermill draws one: no two pages would be the same
    exporter = HTMLExporter(template_name="basic", exclude_input=True, exclude_output_prompt=True)
    body, _ = exporter.from_notebook_node(document)
    return body
