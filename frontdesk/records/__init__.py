"""The data contracts: how a table's columns are read per recipe, and what a prediction looks like."""

from frontdesk.records.contract import Columns
from frontdesk.records.email import DEFAULT_EMAIL_COLUMNS, EmailColumns, EmailLabels
from frontdesk.records.parsing import default_columns, load_columns, parse_columns
from frontdesk.records.predictions import Alternative, Explanation, LabelPrediction, Level, Prediction, Share
from frontdesk.records.ticket import DEFAULT_TICKET_COLUMNS, TicketColumns

__all__ = [
    "DEFAULT_EMAIL_COLUMNS",
    "DEFAULT_TICKET_COLUMNS",
    "Alternative",
    "Columns",
    "EmailColumns",
    "EmailLabels",
    "Explanation",
    "LabelPrediction",
    "Level",
    "Prediction",
    "Share",
    "TicketColumns",
    "default_columns",
    "load_columns",
    "parse_columns",
]
