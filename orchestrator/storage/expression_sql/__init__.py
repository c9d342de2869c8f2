"""Expressions as SQL: choosing an audience on SQLite and PostgreSQL, in agreement with Python."""

from __future__ import annotations

from orchestrator.storage.expression_sql.compiler import compile_condition, count_statement
from orchestrator.storage.expression_sql.functions import register_functions

__all__ = ["compile_condition", "count_statement", "register_functions"]
