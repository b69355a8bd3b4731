"""The server answers raw mails: good ones beside the errors of bad ones, and says nothing of what it masked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from frontdesk.bundle import Bundle
from tests.bundles import EmailRun
from tests.hostile import hostile_rows
from tests.serving.process import ServerProcess
from tests.serving.test_answers import assert_same, tensors, v2_outputs

V1, V2 = "/v1/models/email:predict", "/v2/models/email/infer"
IBAN, ADDRESS, PHONE = "DE89 3704 0044 0532 0130 00", "erika.muster@example.org", "+49 30 901820"
MAIL = {
    "subject": "Sparplan",
    "body": f"<p>Bitte ändern: {IBAN}</p><p>Mit freundlichen Grüßen<br>Erika Muster<br>{PHONE}</p>",
    "custodian_bank": "Nordlicht Bank",
}
EML = f"From: {ADDRESS}\nSubject: Depot\nMIME-Version: 1.0\nContent-Type: text/plain\n\nBitte schließen, {ADDRESS}\n"


@pytest.fixture(scope="module")
def bundle(email_run: EmailRun) -> Bundle:
    return Bundle.load(email_run.bundle)


@pytest.fixture(scope="module")
def mail_server(email_run: EmailRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("mail-server") / "log.jsonl"
    with ServerProcess.of_bundles(log, email_run.bundle) as running:
        yield running


def same(bundle: Bundle, answers: list[dict[str, Any]], mails: list[dict[str, Any]]) -> None:
    """Assert that V1 answers are those of the bundle in process."""
    for found, said in zip(answers, bundle.predict(mails), strict=True):
        assert found["model_id"] == said.model_id
        for head, answer in said.labels.items():
            given = found["labels"][head]
            assert (given["label"], given["decision"], given["reason"]) == (
                answer.label,
                answer.decision,
                answer.reason,
            )
            assert given["confidence"] == pytest.approx(answer.confidence, abs=1e-6)


def test_v1_answers_the_good_mails_beside_the_errors_of_the_bad(mail_server: ServerProcess, bundle: Bundle) -> None:
    batch = [MAIL, {"body": 5}, {"body": EML}, "a mail", {"body": "x", "sender": ADDRESS}, {}]
    response = mail_server.client.post(V1, json={"instances": batch})
    assert response.status_code == 200, response.text
    answers = response.json()["predictions"]
    assert len(answers) == len(batch)
    same(bundle, [answers[place] for place in (0, 2, 5)], [MAIL, {"body": EML}, {}])
    assert answers[5]["labels"]["queue"]["reason"] == "no_text"
    for place, words in {
        1: "instances[1].body: must be text",
        3: "instances[3]: must be an",
        4: "instances[4].sender",
    }.items():
        assert answers[place].keys() == {"error"}
        assert answers[place]["error"]["code"] == "invalid_request"
        assert words in answers[place]["error"]["message"]


def test_one_bad_mail_refuses_all_where_the_caller_wants_it_so(mail_server: ServerProcess, bundle: Bundle) -> None:
    body: dict[str, Any] = {"instances": [MAIL, {"body": 5}], "parameters": {"on_error": "refuse"}}
    response = mail_server.client.post(V1, json=body)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
    assert "instances[1].body" in response.json()["error"]
    good = mail_server.client.post(V1, json=body | {"instances": [MAIL]})
    same(bundle, good.json()["predictions"], [MAIL])
    assert mail_server.client.post(V1, json=body | {"parameters": {"on_error": "maybe"}}).status_code == 400


@pytest.mark.parametrize(
    ("instances", "words"),
    [
        ([{"body": 5}, {"subject": []}], "instances[0].body"),
        ([{"body": 5}], "instances[0].body"),
        ([{}] * 1_001, "1001 instances are more than 1000"),
        ([{"body": 5}] + [{}] * 1_000, "1001 instances are more than 1000"),
        ("a mail", "must be a list"),
    ],
)
def test_a_request_without_a_good_mail_gets_400(mail_server: ServerProcess, instances: Any, words: str) -> None:
    response = mail_server.client.post(V1, json={"instances": instances})
    assert response.status_code == 400
    assert words in response.json()["error"]


@pytest.mark.parametrize("address", [V1, V2])
@pytest.mark.parametrize("kind", ["message/rfc822", "text/plain", "multipart/form-data; boundary=x", None])
def test_another_content_type_gets_415_with_what_is_supported(
    mail_server: ServerProcess, address: str, kind: str | None
) -> None:
    response = mail_server.client.post(address, content=EML, headers={} if kind is None else {"content-type": kind})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    assert "application/json" in response.json()["error"]
    assert ADDRESS not in response.text


def test_v2_answers_hostile_mails_as_the_bundle_and_refuses_a_bad_batch_whole(
    mail_server: ServerProcess, bundle: Bundle
) -> None:
    rows = hostile_rows(60, seed=5, categorical=("custodian_bank",), numeric=(), words=bundle.spec.vocabulary[:200])
    mails = [MAIL, {"body": EML}] + [{name: row[name] for name in bundle.spec.fields} for row in rows]
    response = mail_server.client.post(V2, json={"inputs": tensors(bundle, mails)})
    assert response.status_code == 200, response.text
    assert_same(bundle, v2_outputs(response.json()), bundle.predict(mails))
    bad = {"inputs": [{"name": "body", "datatype": "BYTES", "shape": [2], "data": ["good", 5]}]}
    refused = mail_server.client.post(V2, json=bad)
    assert refused.status_code == 400
    assert "inputs.body[1]" in refused.json()["error"]


def test_nothing_of_a_person_is_answered_or_logged(mail_server: ServerProcess) -> None:
    bad = [MAIL, {"body": EML}, {"body": [IBAN]}, {"body": {"text": ADDRESS}}, IBAN]
    said = [
        mail_server.client.post(V1, json={"instances": bad}).text,
        mail_server.client.post(V1, json={"instances": bad[2:]}).text,
        mail_server.client.post(
            V1, content=f'{{"instances": [{IBAN}'.encode(), headers={"content-type": "application/json"}
        ).text,
        mail_server.client.post(
            V2, json={"inputs": [{"name": "body", "datatype": "BYTES", "shape": [1], "data": [[IBAN]]}]}
        ).text,
        mail_server.client.get("/metrics").text,
        mail_server.log.read_text(),
    ]
    for secret in (IBAN, ADDRESS, PHONE, "Erika"):
        for text in said:
            assert secret not in text
