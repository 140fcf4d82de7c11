"""The platform dialect: `/api/v1/execute` and what belongs to it."""
