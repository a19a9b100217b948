"""The playground's page and the client library come from the package, without a key; the page's headers keep it to
itself."""

from __future__ import annotations

import asyncio

import pytest
from calling import KEY, server, web

pytestmark = [pytest.mark.real]


def test_the_page_and_its_assets_come_without_a_key() -> None:
    async def story() -> None:
        async with server(server__keys=[KEY]) as made, web(made) as http:
            page = await http.get("/")
            assert page.status_code == 200
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            assert page.headers["Cache-Control"] == "no-cache"
            script = page.text.partition('src="')[2].partition('"')[0]
            asset = await http.get(script)
            assert asset.headers["Content-Type"] == "text/javascript; charset=utf-8"
            assert "immutable" in asset.headers["Cache-Control"]
            for answer in (page, asset):
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "unsafe" not in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
            again = await http.get("/", headers={"If-None-Match": page.headers["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert (await http.get("/assets/../../errors.py")).status_code in (401, 404)
            assert (await http.get("/v1/models")).status_code == 401

    asyncio.run(story())


def test_the_client_library_is_at_an_address_that_stays_and_comes_without_a_key_for_allowed_pages() -> None:
    async def story() -> None:
        site = "https://site.example"
        async with server(server__keys=[KEY], server__allowed_origins=[site]) as made, web(made) as http:
            for name in ("antiphon.js", "capture.worklet.js", "playback.worklet.js"):
                script = await http.get(f"/client/{name}", headers={"Origin": site})
                assert script.status_code == 200
                assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
                assert script.headers["Cache-Control"] == "no-cache"
                assert script.headers["Access-Control-Allow-Origin"] == site
            elsewhere = await http.get("/client/antiphon.js", headers={"Origin": "https://elsewhere.example"})
            assert elsewhere.status_code == 403

    asyncio.run(story())


def test_a_page_under_a_strange_name_is_not_shown() -> None:
    async def story() -> None:
        async with server() as made, web(made) as http:
            answer = await http.get("/", headers={"Host": "evil.example"})
            assert answer.status_code == 421

    asyncio.run(story())
