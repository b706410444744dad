"""From decoded clean estimates to plans, branch masses and commitment."""
