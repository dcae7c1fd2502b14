"""The one address of the GraphQL API. What it knows is in `graphql`; any other query is a 501, remembered.

Source: https://docs.github.com/graphql/guides/forming-calls-with-graphql
"""

from app.sandbox.api import Answer, Call, route
from app.sandbox.errors import ApiError
from app.sandbox.graphql import Answering


@route("POST", "/graphql", auth="anyone")
def ask(call: Call) -> Answer:
    """A query with its variables."""
    if call.caller.kind in ("none", "app"):
        raise ApiError(401, "This endpoint requires you to be authenticated.")
    fields = call.fields
    query, variables = fields.get("query"), fields.get("variables") or {}
    if not isinstance(query, str) or not isinstance(variables, dict):
        raise ApiError(400, "A query attribute must be specified and must be a string.")
    return Answer(Answering(call.world, call.caller).answer(query, variables))
