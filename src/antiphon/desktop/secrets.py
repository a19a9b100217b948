"""Keys of servers, in the desktop's own store of secrets: by the host that they are for.

It does not know what the keys open. Its functions block: a store may ask its owner to unlock it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from antiphon.errors import ConfigError

SERVICE = "antiphon"
INSTEAD = "Give the key with --key or ANTIPHON_KEY instead."


def remembered(url: str) -> str | None:
    """The key of the server at this address; None if there is none, or no store."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        return keyring.get_password(SERVICE, urlsplit(url).netloc)
    except KeyringError:
        return None


def remember(url: str, key: str) -> None:
    """Keep the key of the server at this address. Raises `ConfigError` if there is no store, or it is locked."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise ConfigError("the package keyring is not installed", INSTEAD) from None
    try:
        keyring.set_password(SERVICE, urlsplit(url).netloc, key)
    except KeyringError as error:
        raise ConfigError(f"the desktop's store of secrets does not take the key: {error}", INSTEAD) from error
