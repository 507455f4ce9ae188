"""HTTP with bounds: a total deadline, a size limit while streaming, and retries with backoff.

The server may be slow, overloaded, or hostile: an answer that never ends or grows without limit
costs no more than the limits say.
"""

from __future__ import annotations

import email.utils
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_SHOWN = 160  # characters of a server's own words in an error
_CONNECT_S = 10.0


class ProviderError(RuntimeError):
    """A service gave no usable answer; the text says which, what it answered and what to do."""


class Passing(ProviderError):
    """A fault that another try may not meet again."""

    def __init__(self, text: str, wait_s: float | None = None) -> None:
        super().__init__(text)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Limits:
    """Bounds of one request to a service.

    Attributes:
        total_s: everything together, retries and waiting included.
        silence_s: longest time without a byte.
        tries: attempts in all.
        backoff_s: wait before the second try, doubled each time; a Retry-After header wins.
        max_bytes: largest answer.
    """

    total_s: float = 600.0
    silence_s: float = 300.0
    tries: int = 4
    backoff_s: float = 1.0
    max_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        if self.tries < 1 or min(self.total_s, self.silence_s, self.max_bytes) <= 0:
            raise ValueError(f"{self}: tries must be at least 1, times and sizes positive")


class Session:
    """Requests to one service, all under one deadline that starts when the session is made."""

    def __init__(self, base: str, limits: Limits, *, token: str = "") -> None:
        if not base.startswith(("http://", "https://")):
            raise ValueError(f"service address {base!r}: it must begin with http:// or https://")
        self.base, self.limits = base.rstrip("/"), limits
        self._end = time.monotonic() + limits.total_s
        # Compressed answers could unpack to any size: ask for none, and accept none.
        self._headers = {"Accept-Encoding": "identity"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def left(self) -> float:
        """Seconds until the deadline; ProviderError once it has passed."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise ProviderError(
                f"{self.base} did not deliver within {self.limits.total_s:g} s: raise the time "
                "limit or look at the server"
            )
        return left

    def wait(self, seconds: float) -> None:
        """Sleeps, but not beyond the deadline."""
        time.sleep(min(seconds, self.left()))
        self.left()

    def request(self, method: str, path: str, parse: Callable[[bytes], T], **content: Any) -> T:
        """One request with retries; `parse` makes something of the body and may raise `Passing`.

        Raises:
            ProviderError: a refusal, or the last of the passing faults.
        """
        for attempt in range(self.limits.tries):
            try:
                with self.stream(method, path, **content) as chunks:
                    body = b"".join(chunks)
                return parse(body)
            except Passing as fault:
                if attempt + 1 == self.limits.tries:
                    raise ProviderError(f"{fault} ({attempt + 1} tries)") from None
                wait = self.limits.backoff_s * 2**attempt if fault.wait_s is None else fault.wait_s
                if wait >= self.left():
                    raise ProviderError(
                        f"{fault}; it asks to wait {wait:g} s, beyond the limit of "
                        f"{self.limits.total_s:g} s"
                    ) from None
                self.wait(wait)
        raise AssertionError("unreachable: tries is at least 1")

    def json(self, method: str, path: str, **content: Any) -> Any:
        """The same for an answer in JSON."""
        return self.request(method, path, lambda body: self.parse_json(path, body), **content)

    def parse_json(self, path: str, body: bytes) -> Any:
        """The JSON value of an answer; ProviderError if it is none."""
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise ProviderError(
                f"{self.base}{path} answered no JSON but {brief(body)}: is this the right service?"
            ) from None

    @contextmanager
    def stream(self, method: str, path: str, **content: Any) -> Iterator[Iterator[bytes]]:
        """The body in pieces, within the limits; faults become `Passing` or `ProviderError`."""
        httpx = _httpx()
        left = self.left()
        silence = min(self.limits.silence_s, left)
        timeout = httpx.Timeout(silence, connect=min(_CONNECT_S, left))
        url = f"{self.base}{path}"
        client = httpx.Client(timeout=timeout, headers=self._headers)
        # A server that sends a byte of its headers now and then is never silent.
        watch = threading.Timer(left, client.close)
        watch.daemon = True
        watch.start()
        try:
            with client, client.stream(method, url, **content) as response:
                self._check_status(url, response)
                yield self._pieces(url, response)
        except httpx.TimeoutException:
            self.left()
            raise Passing(f"{url} was silent for {silence:g} s") from None
        except httpx.InvalidURL as error:
            raise ValueError(f"service address {url!r}: {error}") from None
        except ProviderError:
            raise
        except (httpx.HTTPError, OSError, RuntimeError) as error:  # of a client closed meanwhile
            self.left()
            raise Passing(f"{url}: {str(error) or type(error).__name__}") from None
        finally:
            watch.cancel()

    def _pieces(self, url: str, response: httpx.Response) -> Iterator[bytes]:
        size = 0
        for piece in response.iter_raw():
            size += len(piece)
            if size > self.limits.max_bytes:
                raise ProviderError(
                    f"{url} sent more than {self.limits.max_bytes >> 10:,} KiB: ask for less "
                    "(of a model, fewer faces or a smaller texture)"
                )
            self.left()
            yield piece

    def _check_status(self, url: str, response: httpx.Response) -> None:
        status = response.status_code
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ProviderError(f"{url} answered in a compressed form nobody asked for")
        if 200 <= status < 300:
            return
        words = b""
        for piece in self._pieces(url, response):
            words += piece
            if len(words) > 4 * _SHOWN:
                break
        text = f"{url} answered {status} ({brief(words)})"
        if status in _RETRIED:
            raise Passing(text, _retry_after(response.headers.get("retry-after", "")))
        raise ProviderError(text)


def brief(body: bytes) -> str:
    """The beginning of an answer in one printable line."""
    text = " ".join(body[: 2 * _SHOWN].decode("utf-8", "replace").split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return repr(text[:_SHOWN]) if text else "nothing"


def _retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header asks for, a number or a date; None without."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _httpx() -> Any:
    try:
        import httpx
    except ImportError:
        raise ImportError("asset services need httpx: pip install httpx") from None
    return httpx
