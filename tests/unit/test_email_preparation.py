"""Is a mail cleaned and masked alike in a table, a request and a snapshot, whatever stands in its cells?"""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontdesk.email.jobs import EmailJobs
from frontdesk.email.preparation import MailPreparation
from frontdesk.email.recipe import EmailParameters
from frontdesk.errors import UsageError
from frontdesk.settings import settings as frontdesk_settings
from frontdesk.simulation.emails import simulate
from frontdesk.storage import Store
from frontdesk.text.mail import clean_subject
from frontdesk.text.masking import without_pseudonyms
from tests.hostile import hostile_rows

IBAN, PHONE, ADDRESS = "DE89 3704 0044 0532 0130 00", "+49 30 901820", "erika.muster@example.org"
SECRETS = (IBAN, PHONE, ADDRESS, IBAN.replace(" ", ""))
KEY = b"0123456789abcdef0123456789abcdef"


def prepared(subject: Any, body: Any, **options: Any) -> tuple[str | None, str | None]:
    made = MailPreparation(**({"masking": True} | options)).columns({"subject": [subject], "body": [body]}, 1)
    return made["subject"][0], made["body"][0]


def message(subject: str | None = "Kündigung") -> str:
    made = EmailMessage()
    if subject is not None:
        made["Subject"] = subject
    made["From"], made["To"], made["Message-ID"] = ADDRESS, "desk@example.com", "<1@example.org>"
    made.set_content(f"Bitte kündigen.\nMeine IBAN: {IBAN}\n\nMit freundlichen Grüßen\nErika Muster\nTel. {PHONE}\n")
    return made.as_string()


def test_a_mail_is_cleaned_then_masked() -> None:
    body = f"<p>Bitte  sperren: {IBAN}</p><p>Mit freundlichen Grüßen<br>Erika</p>"
    assert prepared(f" Konto\t{ADDRESS} ", body) == ("Konto maskedemail", "Bitte sperren: maskediban")


@pytest.mark.parametrize(
    ("subject", "body", "expected"),
    [
        (None, None, (None, None)),
        ("", "", (None, "")),
        (" \t\n", "  \n\u00a0", (None, "")),
        (5, 7.5, ("5", "7.5")),
        (True, False, ("True", "False")),
        ("Betreff\r\nzweite Zeile", b"Gr\xc3\xbc\xc3\x9fe gehen", ("Betreff zweite Zeile", "Grüße gehen")),
        ("\ud800", "Text \ud800", ("\ufffd", "Text \ufffd")),
        ("Zahlung f\u00c3\u00bcr M\u00c3\u00a4rz", "x", ("Zahlung für März", "x")),
    ],
)  # fmt: skip
def test_odd_cells(subject: Any, body: Any, expected: tuple[Any, Any]) -> None:
    assert prepared(subject, body) == expected


def test_encoded_subjects_are_read() -> None:
    assert clean_subject("=?utf-8?Q?K=C3=BCndigung?= =?iso-8859-1?B?Vmlzbnl0?=") == "KündigungVisnyt"
    for broken in ("=?nope?Q?a?=", "=?utf-8?B?!!!?=", "=?", "=?utf-8?Q?=FF?=", "=?" * 5_000):
        assert clean_subject(broken)


def test_the_subject_of_a_whole_message_counts_where_no_other_is_given() -> None:
    for given_subject in (None, "", "  "):
        assert prepared(given_subject, message()) == ("Kündigung", "Bitte kündigen.\nMeine IBAN: maskediban")
    assert prepared("Anderes", message())[0] == "Anderes"
    assert prepared(None, message(None))[0] is None
    assert prepared(None, message(f"Konto {IBAN}"))[0] == "Konto maskediban"
    made = MailPreparation(masking=True).columns({"body": [message()]}, 1)
    assert made == {"body": ["Kündigung\nBitte kündigen.\nMeine IBAN: maskediban"]}


def test_without_masking_a_mail_is_only_cleaned() -> None:
    assert prepared(f"Konto {IBAN}", f"<b>Ruf an:</b> {PHONE}", masking=False) == (
        f"Konto {IBAN}",
        f"Ruf an: {PHONE}",
    )


def test_pseudonyms_tie_mails_together_and_go_before_the_model() -> None:
    body = f"IBAN {IBAN} und {ADDRESS}"
    subject, text = prepared(ADDRESS, body, pseudonyms=KEY)
    assert subject is not None
    assert text is not None
    assert subject in text
    assert subject.startswith("maskedemail-")
    assert prepared(ADDRESS, body, pseudonyms=KEY[::-1]) != (subject, text)
    assert without_pseudonyms(text) == prepared(ADDRESS, body)[1] == "IBAN maskediban und maskedemail"
    assert without_pseudonyms("masked maskedemail-aabbccdd.") == "masked maskedemail."
    for other in ("maskedemail-zz", "maskedemail-aabbccddx", "maskeddog-aabbccdd"):
        assert without_pseudonyms(other) == other


def test_what_a_snapshot_depends_on_tells_keys_apart_and_none() -> None:
    plain, first, second = [MailPreparation(masking=True, pseudonyms=key).key for key in (None, KEY, KEY[::-1])]
    assert plain["pseudonyms"] is None
    assert first["pseudonyms"] != second["pseudonyms"]
    assert KEY.decode() not in json.dumps(first)
    off = MailPreparation(masking=False, pseudonyms=KEY).key
    assert (off["masking"], off["pseudonyms"]) == (None, None)


def test_other_columns_and_their_order_stay() -> None:
    rows = pa.record_batch({"row": [0, 1], "body": ["<p>a</p>", None], "queue": ["<p>q</p>", None]})
    made = MailPreparation(masking=True)(rows)
    assert made.schema == rows.schema
    assert made.to_pydict() == {"row": [0, 1], "body": ["a", None], "queue": ["<p>q</p>", None]}
    assert MailPreparation(masking=True).columns({"custodian_bank": ["A"]}, 1) == {"custodian_bank": ["A"]}
    assert MailPreparation(masking=True).columns({"body": []}, 0) == {"body": []}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text() | st.none() | st.binary(), st.text() | st.none() | st.binary()), max_size=4))
def test_anything_can_be_stored(mails: list[tuple[Any, Any]]) -> None:
    columns = {"subject": [subject for subject, _ in mails], "body": [body for _, body in mails]}
    made = MailPreparation(masking=True).columns(columns, len(mails))
    for name, values in made.items():
        assert pa.array(values, pa.string()).to_pylist() == values, name


def test_a_table_and_a_request_give_the_same_texts() -> None:
    rows = hostile_rows(100, seed=4, categorical=(), numeric=())
    columns = {name: [row[name] for row in rows] for name in ("subject", "body")}
    preparation = MailPreparation(masking=True)
    together = preparation(pa.record_batch({name: pa.array(values, pa.string()) for name, values in columns.items()}))
    alone = [preparation.columns({name: [row[name]] for name in columns}, 1) for row in rows]
    for name in columns:
        assert together.column(name).to_pylist() == [one[name][0] for one in alone]


# --- job 1


def mails(folder: Path) -> Path:
    """Write simulated mails in which the identifiers of this module stand too, one of them in a row to be refused."""
    table = simulate(60, 3)
    bodies = table["body"].to_pylist()
    bodies[0] = f"Hallo, meine IBAN lautet {IBAN}, bitte ändern. Ruf an unter {PHONE} oder schreib an {ADDRESS}. Danke"
    bodies[1] = message()
    times = [str(time) for time in table["received_at"].to_pylist()]
    times[2] = f"{ADDRESS} {IBAN}"
    bodies[2] = f"{ADDRESS} {IBAN}"
    for name, values in (("body", bodies), ("received_at", times)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, pa.string()))
    pq.write_table(table, folder / "mails.parquet")
    return folder / "mails.parquet"


def take(folder: Path, **parameters: Any) -> dict[str, Any]:
    chosen = EmailParameters.of({"split": "random"} | parameters).model_dump_json()
    return EmailJobs().etl(
        data=str(folder / "mails.parquet"), test="", columns="", parameters=chosen, store=str(folder / "store")
    )


def stored(folder: Path, snapshot: dict[str, Any]) -> str:
    """Return everything that a snapshot holds, as text."""
    place = Path(Store(str(folder / "store")).uri("snapshots", snapshot["id"]))
    tables = [pq.read_table(path).to_pylist() for path in sorted(place.rglob("*.parquet"))]
    return json.dumps([tables, json.loads((place / "manifest.json").read_text())], default=str, ensure_ascii=False)


def test_nothing_of_a_person_is_stored_or_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mails(tmp_path)
    plain = take(tmp_path)
    assert plain["rows"]["refused"] == 1
    text = stored(tmp_path, plain) + caplog.text
    for secret in SECRETS:
        assert secret not in text
    assert "maskediban" in text
    assert "Bitte kündigen." in text
    off = stored(tmp_path, take(tmp_path, masking="false"))
    assert IBAN in off
    assert "maskediban" not in off
    (tmp_path / "key").write_bytes(KEY)
    try:
        monkeypatch.setenv("FRONTDESK_MASKING_KEY_FILE", str(tmp_path / "key"))
        frontdesk_settings.cache_clear()
        tied = take(tmp_path)
        assert tied["id"] != plain["id"]
        assert "maskediban-" in stored(tmp_path, tied)
        (tmp_path / "key").write_bytes(b"short")
        with pytest.raises(UsageError, match="fewer than 16 bytes"):
            take(tmp_path)
    finally:
        monkeypatch.undo()
        frontdesk_settings.cache_clear()
