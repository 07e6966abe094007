"""Requests of ours that wait for their responses."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from isocenter.dimse.command import Command
from isocenter.dimse.failures import Aborted
from isocenter.dimse.status import Response

HIGHEST_MESSAGE_ID = 0xFFFF


class Invocation:
    """One request and the responses to it, oldest first."""

    __slots__ = ("_failure", "_responses", "_waiter", "context_id", "has_ended", "message_id")

    def __init__(self, message_id: int, context_id: int) -> None:
        self.message_id = message_id
        self.context_id = context_id
        self.has_ended = False  # the final response is here, or none will come
        self._responses: deque[Response] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Aborted | None = None

    @property
    def backlog(self) -> int:
        """How many responses nobody has taken yet."""
        return len(self._responses)

    def deliver(self, response: Response) -> None:
        self.has_ended = not response.is_pending
        self._responses.append(response)
        self._wake()

    def fail(self, failure: Aborted) -> None:
        """No more will come."""
        if not self.has_ended:
            self.has_ended = True
            self._failure = failure
            self._wake()

    async def next(self) -> Response:
        """Wait for the next response. Raises: Aborted, if the association ended first."""
        while not self._responses:
            if self._failure is not None:
                # A fresh one each time: an exception carries the traceback of its raising.
                raise type(self._failure)(str(self._failure), self._failure.abort)
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._responses.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None


class Outstanding:
    """The requests of one association that are not yet answered for good."""

    __slots__ = ("_by_id", "_last")

    def __init__(self) -> None:
        self._by_id: dict[int, Invocation] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def begin(self, context_id: int) -> Invocation:
        """Take a Message ID that no other request has now."""
        message_id = self._last % HIGHEST_MESSAGE_ID + 1
        while message_id in self._by_id:
            message_id = message_id % HIGHEST_MESSAGE_ID + 1
        self._last = message_id
        invocation = self._by_id[message_id] = Invocation(message_id, context_id)
        return invocation

    def find(self, command: Command) -> Invocation | None:
        return self._by_id.get(command.answers)

    def end(self, invocation: Invocation) -> None:
        self._by_id.pop(invocation.message_id, None)

    def fail_all(self, failure: Aborted) -> None:
        invocations, self._by_id = list(self._by_id.values()), {}
        for invocation in invocations:
            invocation.fail(failure)


class Responses:
    """The responses to one C-FIND, C-MOVE or C-GET, as they come, the final one last.

    Nothing is sent before the first is asked for. Whoever stops early calls ``cancel`` and reads
    on to the final response, or gives the association up.
    """

    def __init__(
        self,
        invoke: Callable[[], Awaitable[Invocation]],
        take: Callable[[Invocation], Awaitable[Response]],
        cancel: Callable[[Invocation], Awaitable[None]],
    ) -> None:
        self._invoke = invoke
        self._take = take
        self._cancel = cancel
        self._invocation: Invocation | None = None
        self._is_through = False

    def __aiter__(self) -> AsyncIterator[Response]:
        return self

    async def __anext__(self) -> Response:
        if self._is_through:
            raise StopAsyncIteration
        if self._invocation is None:
            self._invocation = await self._invoke()
        response = await self._take(self._invocation)
        self._is_through = not response.is_pending
        return response

    async def cancel(self) -> None:
        """Send C-CANCEL; responses under way still come, then the final one."""
        if self._invocation is not None and not self._is_through:
            await self._cancel(self._invocation)
