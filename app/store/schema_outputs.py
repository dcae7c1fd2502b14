"""Outputs of stacks as they were last, and what runs were given of them. Read `schema` for the rules of this room."""

from sqlalchemy import Boolean, Column, ForeignKey, LargeBinary, Table, Text

from app.store.schema_columns import column, metadata, time_column

stack_outputs = Table(
    "stack_outputs",
    metadata,
    Column("stack_id", ForeignKey("stacks.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("sealed_value", LargeBinary),
    column("is_sensitive", Boolean),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    time_column("updated_at"),
)
"""The outputs of each stack's newest apply. One without a value was not handed in: too long, or sensitive."""

run_inputs = Table(
    "run_inputs",
    metadata,
    Column("run_id", ForeignKey("runs.id"), primary_key=True),
    column("sealed_values", LargeBinary),
)
"""What a plan was made with of other stacks' outputs, until its run has ended."""
