"""Connections to Dask schedulers that are none, or want keys."""

from __future__ import annotations

import gc

import pytest

from powerml.errors import ClusterError
from powerml.search.listener import Listener
from powerml.workers import dask_cluster
from powerml.workers.dask_cluster import connected

distributed = pytest.importorskip("distributed")


def test_a_connection_that_fails_ends_at_once_and_leaves_no_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask's own client waited for 40 seconds when it was deleted, and printed a traceback."""
    monkeypatch.setattr(dask_cluster, "_require_keys", lambda _place: None)
    with (
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at dask\+tls://.* \(TLS"),
        connected("dask+tls://127.0.0.1:1", Listener()),
    ):
        pass
    before = list(distributed.Client._instances)
    gc.collect()
    assert [one.status for one in before] == ["closed"] * len(before)
