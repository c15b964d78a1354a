"""One cluster a module: of real processes, or of threads of this one where only what is given matters."""

import pytest
from distributed import Client, LocalCluster


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        host="127.0.0.1",
    ) as made:
        yield made


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster) as made:
        yield made


@pytest.fixture(scope="module")
def workers():
    with Client(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", set_as_default=False
    ) as made:
        yield made


@pytest.fixture(params=["workers", "here"])
def anywhere(request):
    """With a client, and without any."""
    if request.param == "here":
        yield None
    else:
        client = request.getfixturevalue("workers")
        with client.as_current():
            yield client
