"""A conversation carried out: requests are sent, answers given back, until its end."""

from __future__ import annotations

from dataclasses import replace

from flaggerpy.http import HttpError, Send
from flaggerpy.images.conversation import Conversation, Found, Outcome


async def ask(send: Send, talk: Conversation, tenant: str = "") -> Found:
    """The end of a conversation, every request of it sent by `send` (`Http.send`) on behalf of a namespace (`HttpRequest.tenant`).

    What goes wrong on the way is part of the answer.
    """
    try:
        request = next(talk)
        while True:
            outcome: Outcome
            try:
                outcome = await send(replace(request, tenant=tenant))
            except HttpError as error:
                outcome = error
            request = talk.send(outcome)
    except StopIteration as end:
        found: Found = end.value
        return found
