"""What to do about a cause, for whoever is on call."""

from __future__ import annotations

from frontdesk.monitoring.verdict import Cause, Level

_BY_METHOD = {
    "missing_share": "Look at the feed first: a field that is suddenly empty (or filled) is more often a changed form "
    "or interface than a change of customers. Do not retrain before it is explained.",
    "refused_share": "Rows cannot be read any more. Look at what delivers them; the reasons stand in the words above.",
    "unseen_share": "New values came. If they were announced, put them into the label file or the form's catalogue "
    "and retrain; if nobody knows them, ask who changed the form.",
    "moved_share": "Records of one kind now go somewhere else, which the model cannot know. Ask the team whether this "
    "is meant. If it is, retrain on rows from after the change; if not, the routing is wrong, not the model.",
}
_BY_KIND = {
    "input": "Ask what changed where this field is filled in: a form, a campaign, a channel. If it stays, retrain.",
    "text": "Read some of the newest records: the words above say what to look for. If it is a new subject that stays, "
    "retrain; if it is one incident, wait for the next window.",
    "prediction": "The model answers differently. Where an input changed too, begin there; where none did, check "
    "which version is served.",
    "label": "People label differently, or other cases come. If it stays, retrain; if labels were renamed, say so in "
    "the label file.",
    "quality": "Answers got better or worse. Begin with the other causes; if there are none, compare the served "
    "version with the last release and consider going back to it.",
}
LEAD: dict[Level, str] = {
    "stable": "Nothing to do. No column differs by more than chance and the reference's own habits explain, and by "
    "enough to matter.",
    "watch": "Nothing has to be done tonight. Something changed beyond chance, but not much: look at it in working "
    "hours, and again when the next window is in.",
    "drift": "Begin with the first cause below; later ones are often its consequences.",
}
"""What a verdict asks for."""


def advice(cause: Cause) -> str:
    """Say what to do about a cause."""
    if cause.kind == "text" and cause.method == "unseen_share":
        return _BY_KIND["text"]  # new words are no new values of a form
    return _BY_METHOD.get(cause.method) or _BY_KIND[cause.kind]
